// How the sides stand.

import type { Standing } from "./messages";

export function Tally({ standings }: { standings: readonly Standing[] }) {
  if (!standings.some(({ rate }) => rate !== null)) return null;
  return (
    <table class="lw-tally lw-small">
      <caption class="lw-hidden">Tally</caption>
      <thead>
        <tr>
          <th scope="col">Side</th>
          <th scope="col">Wins</th>
          <th scope="col">Ties</th>
          <th scope="col">Losses</th>
          <th scope="col">Win rate</th>
        </tr>
      </thead>
      <tbody>
        {standings.map(({ side, wins, ties, losses, rate }) => (
          <tr key={side}>
            <th scope="row">{side}</th>
            <td>{wins}</td>
            <td>{ties}</td>
            <td>{losses}</td>
            <td>{rate === null ? "" : `${Math.round(100 * rate)} %`}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

// One of several, by name.

interface ChoiceProps {
  label: string;
  value: string;
  options: readonly (readonly [string, string])[];
  onPick: (value: string) => void;
}

export function Choice({ label, value, options, onPick }: ChoiceProps) {
  return (
    <label class="lw-choice">
      <span class="lw-muted lw-small">{label}</span>
      <select class="lw-field" value={value} onChange={(event) => onPick(event.currentTarget.value)}>
        {options.map(([key, name]) => (
          <option key={key} value={key}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}

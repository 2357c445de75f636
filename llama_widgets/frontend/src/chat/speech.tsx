// Reads an answer out sentence by sentence, to those who cannot see it grow.

import type { RefObject } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { ChatSession } from "./session";

/** A reader would be interrupted by more frequent ones. */
const PAUSE_MS = 1000;
/** What a reader has surely taken up. */
const KEPT = 20;

interface SpeechProps {
  session: ChatSession;
  log: RefObject<HTMLElement | null>;
}

export function Speech({ session, log }: SpeechProps) {
  const region = useRef<HTMLDivElement>(null);
  useEffect(() => {
    let id = session.store.state.live?.id ?? "";
    let last = session.store.state.spoken;
    let said = 0;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const speak = (ended: boolean) => {
      timer = undefined;
      const drawn = [...(log.current?.querySelectorAll<HTMLElement>("[data-turn]") ?? [])];
      const body = drawn.findLast(({ dataset }) => dataset.turn === id)?.querySelector(".lw-markdown");
      if (!body) return;
      const text = readable(body);
      const end = ended ? text.length : sentencesEnd(text);
      const words = text.slice(said, end).trim();
      said = Math.max(said, end);
      if (!words || !region.current) return;
      region.current.append(Object.assign(document.createElement("p"), { textContent: words }));
      while (region.current.childElementCount > KEPT) region.current.firstElementChild?.remove();
    };
    const stopListening = session.store.subscribe(() => {
      const { live, spoken } = session.store.state;
      const now = live?.id ?? spoken?.id ?? "";
      if (now !== id) [id, said] = [now, 0];
      if (live) {
        timer ??= setTimeout(() => speak(false), PAUSE_MS);
      } else if (spoken && spoken !== last) {
        clearTimeout(timer);
        timer = setTimeout(() => speak(true)); // when it is drawn
      }
      last = spoken;
    });
    return () => {
      clearTimeout(timer);
      stopListening();
    };
  }, [session]);
  return <div class="lw-hidden" ref={region} aria-live="polite" aria-relevant="additions" />;
}

/** As it is drawn, without the signs of Markdown, which would be read out one by one; of code only that it is there. */
function readable(body: Element): string {
  const blocks = [...body.children].map((block) =>
    block.matches(".lw-fence, pre") ? "Code block." : (block.textContent ?? ""),
  );
  return blocks.join("\n");
}

/** Where the last whole sentence, or the last line that is done, ends. */
export function sentencesEnd(text: string): number {
  const ends = [...text.matchAll(/[.!?…][)"'”’»\]]*\s|[。！？]|\n/g)];
  const last = ends.at(-1);
  return last ? last.index + last[0].length : 0;
}

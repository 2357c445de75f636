// Character references: "&amp;", "&#35;", "&CounterClockwiseContourIntegral;".

const REFERENCE = /&(?:#(\d{1,7})|#x([\da-f]{1,6})|[a-z][a-z\d]{1,31});/gi;
const named = new Map<string, string>();

/** Returns the text with the characters that its references stand for. */
export function decode(text: string): string {
  if (!text.includes("&")) return text;
  return text.replace(REFERENCE, (whole, decimal?: string, hexadecimal?: string) => {
    const code = decimal ? Number.parseInt(decimal, 10) : hexadecimal ? Number.parseInt(hexadecimal, 16) : Number.NaN;
    if (Number.isNaN(code)) return byName(whole);
    const isCharacter = code > 0 && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
    return isCharacter ? String.fromCodePoint(code) : "\ufffd";
  });
}

/** The browser knows all 2,231 of them. What it is given is a name between "&" and ";", and nothing else. */
function byName(reference: string): string {
  const known = named.get(reference);
  if (known !== undefined) return known;
  const parsed = new DOMParser().parseFromString(`=${reference}`, "text/html").body.textContent?.slice(1) ?? reference;
  // "&notit;" is none, but begins with one that old pages write without ";".
  const decoded = parsed.endsWith(";") && reference !== "&semi;" ? reference : parsed;
  named.set(reference, decoded);
  return decoded;
}

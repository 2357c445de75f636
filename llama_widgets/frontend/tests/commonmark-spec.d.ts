// The package has no types of its own.
declare module "commonmark-spec" {
  export const tests: { number: number; markdown: string; html: string; section: string }[];
}

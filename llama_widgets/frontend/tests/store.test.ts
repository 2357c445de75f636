import { expect, it, vi } from "vitest";
import { Store } from "../src/store";
import { settled } from "./mocks";

it("a listener that fails keeps none of the others from hearing", async () => {
  const complaint = vi.spyOn(console, "error").mockImplementation(() => {});
  const store = new Store((state: number, step: number) => state + step, 1);
  const heard: number[] = [];
  store.subscribe(() => {
    throw new Error("no");
  });
  store.subscribe(() => heard.push(store.state));
  store.dispatch(1);
  store.dispatch(2);
  await settled();
  expect(heard).toEqual([4]); // once per frame
  expect(complaint).toHaveBeenCalledOnce();
});

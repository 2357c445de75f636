// What widgets that come as parts share with those that are there from the beginning: built into them it would be in the
// page several times. `../build.mjs` takes their imports from here.

export { Component, Fragment, render } from "preact";
export { useCallback, useEffect, useLayoutEffect, useMemo, useReducer, useRef, useState } from "preact/hooks";
export { jsx, jsxs } from "preact/jsx-runtime";
export * from "./channel";
export { Composer } from "./chat/composer";
export { Drafting } from "./chat/draft";
export { onFenceClick } from "./chat/fences";
export { Silence } from "./chat/silence";
export { INITIAL, isBusy, reduce } from "./chat/state";
export { footer, status, thoughtsTitle } from "./chat/status";
export * from "./files";
export * from "./format";
export * from "./hooks";
export { InsertAsCell } from "./insert";
export * from "./markdown/stream";
export * from "./menu";
export { TO_VIEW } from "./messages";
export { EVENTS, timings, usage } from "./protocol";
export * from "./store";
export * from "./transport";
export * from "./ui";
export * from "./view";
export * from "./wire";

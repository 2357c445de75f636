// Preact runs effects after the next frame, or soon when none comes. Who takes the page away before that has them fail.

import { afterAll } from "vitest";

afterAll(() => new Promise<void>((resolve) => requestAnimationFrame(() => resolve())));

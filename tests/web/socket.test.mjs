// When a line counts as dead: after a silence that the page itself could have heard broken.

import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { Socket } from "../../web/socket.js";

/** A line that is open, and what was sent and decided on it. */
const opened = () => {
  mock.timers.enable({ apis: ["Date", "setTimeout"], now: 1_000_000 });
  const seen = { sent: [], lost: 0 };
  class Kind {
    static OPEN = 1;
    readyState = 1;
    send(text) {
      seen.sent.push(JSON.parse(text).method);
    }
    close() {}
  }
  const socket = new Socket("ws://venue", { opened() {}, lost: () => (seen.lost += 1), heard() {}, data() {} }, Kind);
  socket.connect();
  socket.watch();
  return { socket, seen };
};

/** So many seconds go by, in each of which the page looks after its line. */
const watched = (socket, seconds) => {
  for (let at = 0; at < seconds; at += 1) {
    mock.timers.tick(1000);
    socket.watch();
  }
};

test("a silent line is asked once, then given up", (context) => {
  context.after(() => mock.timers.reset());
  const { socket, seen } = opened();
  watched(socket, 12);
  assert.deepEqual(seen, { sent: ["public/test"], lost: 0 });
  watched(socket, 1);
  assert.equal(seen.lost, 1);
});

test("a page that slept asks before it gives its line up", (context) => {
  context.after(() => mock.timers.reset());
  const { socket, seen } = opened();
  mock.timers.tick(60_000);
  socket.watch();
  assert.deepEqual(seen, { sent: [], lost: 0 });
  watched(socket, 1);
  assert.deepEqual(seen, { sent: ["public/test"], lost: 0 });
  socket.receive('{"id": 1, "result": {}}'); // what had waited
  watched(socket, 6);
  assert.deepEqual(seen, { sent: ["public/test"], lost: 0 });
});

test("a line that died while the page slept is found out", (context) => {
  context.after(() => mock.timers.reset());
  const { socket, seen } = opened();
  mock.timers.tick(60_000);
  watched(socket, 8);
  assert.equal(seen.lost, 1);
});

#!/usr/bin/env node
// Prints each event of the daemon's log as one line of JSON, live, over restarts of the daemon.
//
//     npm ci && node follow.mjs [SINCE]
//
// SINCE is the number of the last event that you have; 0 prints the whole log, and without it the
// first line is the next event. No event is missing and none comes twice.

import { existsSync } from 'node:fs';
import process from 'node:process';
import WebSocket from 'ws';

const SYSTEM_SOCKET = '/run/bytchat/bytchatd.sock';
const PAUSE_MS = 200;
// The daemon says every 30 seconds that it is there: three times nothing is a dead connection.
const SILENCE_MS = 90_000;
const PASSING = ['busy', 'shutting_down'];

// Where the daemon listens: what is named, the user's own daemon, or that of the machine.
function socketPath() {
  if (process.env.BYTCHAT_SOCKET) return process.env.BYTCHAT_SOCKET;
  const own = `${process.env.XDG_RUNTIME_DIR}/bytchat/bytchatd.sock`;
  return existsSync(own) ? own : SYSTEM_SOCKET;
}

// The place to go on from: `since` and the `epoch` of the log that it belongs to.
const place = {};
if (process.argv[2] !== undefined) place.since = Number(process.argv[2]);

function take(told) {
  if (told.seq !== undefined) {
    process.stdout.write(`${JSON.stringify(told)}\n`);
    place.since = told.seq;
  } else if (told.type === 'stream.gap') {
    // With the reason `epoch` it is another log, which is told from its beginning.
    console.error('not everything is to be had:', JSON.stringify(told.data));
    place.since = told.data.to;
  } else if (told.type === 'stream.failed') {
    throw new Error(`the log cannot be read: ${told.data.message}`);
  }
}

function begin(answer) {
  if (answer.error) {
    if (!PASSING.includes(answer.error.data?.kind)) {
      console.error(answer.error.message, answer.error.data?.hint ?? '');
      process.exit(1);
    }
    throw new Error(answer.error.message);
  }
  const { epoch, first, head } = answer.result;
  // The old number means nothing in another log: the two change together.
  if (place.epoch !== undefined && place.epoch !== epoch) place.since = first;
  place.epoch = epoch;
  place.since ??= head;
}

// Follows until the connection ends.
function follow() {
  return new Promise((ended) => {
    const socket = new WebSocket(`ws+unix:${socketPath()}:/`);
    const silence = setTimeout(() => socket.terminate(), SILENCE_MS);
    socket.on('open', () => {
      const call = { jsonrpc: '2.0', id: 1, method: 'event.subscribe', params: place };
      socket.send(JSON.stringify(call));
    });
    socket.on('message', (data) => {
      silence.refresh();
      // A message that comes after a failure belongs to nothing that is followed.
      if (socket.readyState !== WebSocket.OPEN) return;
      const message = JSON.parse(data);
      try {
        if (message.method === 'event') take(message.params.result);
        else begin(message);
      } catch (error) {
        console.error(error.message);
        socket.terminate();
      }
    });
    socket.on('error', (error) => console.error(error.message));
    socket.on('close', () => {
      clearTimeout(silence);
      ended();
    });
  });
}

process.stdout.on('error', () => process.exit(1));
for (;;) {
  await follow();
  await new Promise((done) => setTimeout(done, PAUSE_MS));
}

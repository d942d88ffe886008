import type { Duplex } from 'node:stream';

/**
 * Answers on a bare socket that nobody else listens to any more, and lets go of it. A peer may keep its own side open for
 * ever, and no timeout of HTTP applies after an upgrade or after one that has run out.
 */
export function lastAnswer(socket: Duplex, text: string): void {
  // A peer that is gone must not end the process.
  socket.on('error', () => socket.destroy());
  socket.once('finish', () => socket.destroy());
  socket.end(text);
}

import type { ServerResponse } from 'node:http';
import { status, type Answer } from './endpoint-server.ts';

/** What an endpoint may do with a delivery, and whether that says that it was taken: the status counts, whatever follows it. */
export const answers = {
  taken: { isTaken: true, answer: status(204) },
  takenAndEndless: { isTaken: true, answer: (response) => talkWithoutEnd(response, 200) },
  takenAndCutShort: {
    isTaken: true,
    answer: ({ socket }) => socket?.end('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf'),
  },
  refused: { isTaken: false, answer: status(500, 'no') },
  refusedAndEndless: { isTaken: false, answer: (response) => talkWithoutEnd(response, 500) },
  redirected: { isTaken: false, answer: status(302, '', { location: '/elsewhere' }) },
  garbage: { isTaken: false, answer: ({ socket }) => socket?.end('\x00\x01 hello there\r\n\r\n') },
  cutShort: { isTaken: false, answer: ({ socket }) => socket?.end('HTTP/1.1 20') },
  closed: { isTaken: false, answer: ({ socket }) => socket?.destroy() },
} satisfies Record<string, { isTaken: boolean; answer: Answer }>;

/** Two gigabytes are announced, and written as long as somebody reads them. */
function talkWithoutEnd(response: ServerResponse, code: number): void {
  response.writeHead(code, { 'content-length': '2000000000' });
  const piece = Buffer.alloc(65_536, 'x');
  const goOn = (): void => {
    while (!response.destroyed && response.write(piece));
  };
  response.on('drain', goOn);
  goOn();
}

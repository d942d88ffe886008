import type { ServerResponse } from 'node:http';
import type { Reply } from './message.ts';

const JSON_TYPE = 'application/json; charset=utf-8';

/** Writes the reply, unless the connection is gone. */
export function sendReply(response: ServerResponse, reply: Reply): void {
  if (response.destroyed || response.headersSent) return;
  const text = reply.json === undefined ? reply.text : JSON.stringify(reply.json);
  const headers: Record<string, string> = { ...reply.headers };
  if (text !== undefined) headers['content-type'] = reply.contentType ?? JSON_TYPE;
  // A 204 has no body and no length.
  if (reply.status !== 204) headers['content-length'] = String(Buffer.byteLength(text ?? ''));
  response.writeHead(reply.status, headers);
  response.end(reply.status === 204 ? undefined : text);
}

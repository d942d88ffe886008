import { IncomingMessage } from 'node:http';

/**
 * A request whose wish to upgrade counts only where it is for a protocol that we speak. Where anybody listens for upgrades,
 * Node takes every such request out of its ordinary way, also those that merely offer HTTP/2, as Java's client and
 * `curl --http2` do on http://. A server may pass over an offer (RFC 9110, 7.8) and answer in HTTP/1.1.
 */
export class IncomingRequest extends IncomingMessage {
  /** As the parser saw it, which tells it before the headers are there and asks once they are. */
  #wish: boolean | null = null;

  get upgrade(): boolean {
    if (!this.#wish) return false;
    return this.method === 'CONNECT' || this.headers.upgrade?.toLowerCase() === 'websocket';
  }

  set upgrade(wish: boolean | null) {
    // IncomingMessage's own constructor sets it, when there is no such thing yet.
    if (#wish in this) this.#wish = wish;
  }
}

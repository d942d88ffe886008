import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { ApiError } from '../api-error.ts';
import type { StoredAttachment } from '../bases/documents.ts';
import type { Clock } from '../clock.ts';
import type { Router } from '../http/router.ts';
import type { State } from '../state/state.ts';

/** Addresses of attachments stop working two hours after they were handed out. */
export const ATTACHMENT_URL_LIFETIME_MS = 2 * 60 * 60 * 1000;

const THUMBNAIL_SIDES = { small: 36, large: 512, full: 3000 };

/** Hands out addresses of attachments that expire, and serves a small stand-in file behind them. */
export class AttachmentLinks {
  constructor(
    private readonly state: State,
    private readonly clock: Clock,
    private readonly origin: () => string,
  ) {}

  /** The attachment as the API shows it, with a fresh address; images also have thumbnails. */
  publish(attachment: StoredAttachment): Record<string, unknown> {
    const { id, filename, size, type, width, height } = attachment;
    const url = this.url(id, filename);
    const shown = { id, url, filename, size, type };
    if (width === undefined || height === undefined) return shown;
    const thumbnails = Object.fromEntries(
      Object.entries(THUMBNAIL_SIDES).map(([name, side]) => {
        const scale = Math.min(1, side / Math.max(width, height));
        const thumbnail = { url, width: Math.round(width * scale), height: Math.round(height * scale) };
        return [name, thumbnail];
      }),
    );
    return { ...shown, width, height, thumbnails };
  }

  private url(id: string, filename: string): string {
    // Whole minutes, so that two reads in a row mostly show the same address.
    const expires = Math.ceil((this.clock.now() + ATTACHMENT_URL_LIFETIME_MS) / 60_000) * 60_000;
    const path = `${expires}/${id}/${this.sign(expires, id, filename)}/${encodeURIComponent(filename)}`;
    return `${this.origin()}/_attachments/${path}`;
  }

  /** True if the address was handed out by this state and has not expired. */
  isCurrent(expires: number, id: string, signature: string, filename: string): boolean {
    const expected = Buffer.from(this.sign(expires, id, filename));
    const given = Buffer.from(signature);
    return expected.length === given.length && timingSafeEqual(expected, given) && this.clock.now() < expires;
  }

  private sign(expires: number, id: string, filename: string): string {
    const text = `${expires}/${id}/${filename}`;
    return createHmac('sha256', this.signingKey()).update(text).digest('hex').slice(0, 32);
  }

  /** Kept in the state, so that addresses outlive a restart. */
  private signingKey(): string {
    const keys = this.state.collection<{ key: string }>('attachmentKeys');
    let key = keys.get('signing')?.key;
    if (key === undefined) {
      key = randomBytes(32).toString('hex');
      keys.put('signing', { key });
    }
    return key;
  }
}

export function attachmentRoutes(router: Router, links: AttachmentLinks): void {
  router.add('GET', '/_attachments/:expires/:attachmentId/:signature/:filename', {
    endpoint: 'downloadAttachment',
    handler: ({ params }) => {
      const { expires = '', attachmentId = '', signature = '', filename = '' } = params;
      if (!links.isCurrent(Number(expires), attachmentId, signature, filename)) {
        throw new ApiError(
          410,
          'ATTACHMENT_URL_EXPIRED',
          'Read the record again to get a fresh attachment URL',
        );
      }
      return { status: 200, ...standIn(filename) };
    },
  });
}

/** The sandbox keeps no files: an image is a small drawing with its name, anything else a line of text. */
function standIn(filename: string): { text: string; contentType: string } {
  const name = filename.replace(/[<>&"']/g, '_');
  if (!/\.(png|jpe?g|gif|webp|svg)$/i.test(filename)) {
    return { text: `Sandbox attachment ${name}\n`, contentType: 'text/plain; charset=utf-8' };
  }
  const text =
    `<svg xmlns="http://www.w3.org/2000/svg" width="320" height="200"><rect width="320" height="200" fill="#d6e4ff"/>` +
    `<text x="16" y="108" font-family="sans-serif" font-size="16">${name}</text></svg>`;
  return { text, contentType: 'image/svg+xml' };
}

import type { FieldSchema } from '../bases/table-schema.ts';
import { isObject } from '../calendly/cell-values.ts';
import { mismatch, readCell } from './cell-values.ts';

/** How long the upstream serves the address of a file after it was told, in milliseconds. */
export const attachmentUrlLifetimeMs = 2 * 60 * 60_000;

export const thumbnailSizes = ['small', 'large', 'full'] as const;

export interface Thumbnail {
  url: string;
  width: number | null;
  height: number | null;
}

/** A file in a cell. What the upstream has not worked out yet, it leaves out. */
export interface Attachment {
  id: string;
  filename: string;
  url: string;
  /** Bytes. */
  size: number | null;
  /** MIME type. */
  type: string | null;
  width: number | null;
  height: number | null;
  thumbnails: Record<(typeof thumbnailSizes)[number], Thumbnail | null> | null;
}

/**
 * The files of an attachment field, or of a lookup of one, in the order of the cell.
 * @throws AppError FIELD_TYPE_MISMATCH when the field holds no files
 */
export function readAttachments(field: FieldSchema, cell: unknown): Attachment[] {
  if (field.valueType !== 'multipleAttachments') throw mismatch(field, 'list of attachments');
  const value = readCell(field, cell);
  return Array.isArray(value) ? value.flat().flatMap(attachmentOf) : [];
}

function attachmentOf(item: unknown): Attachment[] {
  if (!isObject(item) || typeof item.id !== 'string' || typeof item.url !== 'string') return [];
  const { thumbnails } = item;
  return [
    {
      id: item.id,
      filename: typeof item.filename === 'string' ? item.filename : '',
      url: item.url,
      size: numberOf(item.size),
      type: typeof item.type === 'string' ? item.type : null,
      width: numberOf(item.width),
      height: numberOf(item.height),
      thumbnails: isObject(thumbnails)
        ? {
            small: thumbnailOf(thumbnails.small),
            large: thumbnailOf(thumbnails.large),
            full: thumbnailOf(thumbnails.full),
          }
        : null,
    },
  ];
}

function thumbnailOf(value: unknown): Thumbnail | null {
  if (!isObject(value) || typeof value.url !== 'string') return null;
  return { url: value.url, width: numberOf(value.width), height: numberOf(value.height) };
}

function numberOf(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

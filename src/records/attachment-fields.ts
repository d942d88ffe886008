import { builder } from '../graphql/builder.ts';
import { attachmentUrlLifetimeMs, readAttachments, type Attachment, type Thumbnail } from './attachments.ts';
import { readOne, RecordRef } from './schema.ts';

const ThumbnailRef = builder.objectRef<Thumbnail>('AttachmentThumbnail').implement({
  description: 'A smaller picture of an attachment.',
  fields: (t) => ({
    url: t.exposeString('url', { description: 'Works until `urlExpiresAt` of the attachment.' }),
    width: t.exposeFloat('width', { nullable: true, description: 'In pixels.' }),
    height: t.exposeFloat('height', { nullable: true, description: 'In pixels.' }),
  }),
});

const ThumbnailsRef = builder
  .objectRef<NonNullable<Attachment['thumbnails']>>('AttachmentThumbnails')
  .implement({
    description: 'Smaller pictures of an attachment, each null while the service has not made it.',
    fields: (t) => ({
      small: t.field({
        type: ThumbnailRef,
        nullable: true,
        description: 'A few dozen pixels high, for lists.',
        resolve: ({ small }) => small,
      }),
      large: t.field({
        type: ThumbnailRef,
        nullable: true,
        description: 'A few hundred pixels, for cards.',
        resolve: ({ large }) => large,
      }),
      full: t.field({
        type: ThumbnailRef,
        nullable: true,
        description: 'For the whole screen.',
        resolve: ({ full }) => full,
      }),
    }),
  });

const AttachmentRef = builder
  .objectRef<Attachment & { urlExpiresAt: string | null }>('Attachment')
  .implement({
    description:
      'A file in a cell. Its addresses work for two hours only: show them, but do not store them; read the record again instead.',
    fields: (t) => ({
      id: t.exposeString('id', {
        description: 'Starts with `att`. Write `{ "id": … }` into the cell to keep the file there.',
      }),
      filename: t.exposeString('filename', { description: 'Name of the file; may be empty.' }),
      size: t.exposeFloat('size', {
        nullable: true,
        description: 'In bytes. Null while the service still fetches the file.',
      }),
      type: t.exposeString('type', {
        nullable: true,
        description: 'MIME type, such as `image/png`. Null while the service still fetches the file.',
      }),
      url: t.exposeString('url', {
        description:
          'Where the file can be had, by anyone who knows the address. Works until `urlExpiresAt`.',
      }),
      urlExpiresAt: t.field({
        type: 'DateTime',
        nullable: true,
        description:
          'Until then the addresses work: two hours after they were read. Null for a record as a change left it (`RecordChange.record`), whose addresses may have expired; `liveRecord` has fresh ones.',
        resolve: ({ urlExpiresAt }) => urlExpiresAt,
      }),
      width: t.exposeFloat('width', { nullable: true, description: 'In pixels, for pictures.' }),
      height: t.exposeFloat('height', { nullable: true, description: 'In pixels, for pictures.' }),
      thumbnails: t.field({
        type: ThumbnailsRef,
        nullable: true,
        description: 'Smaller pictures, for pictures and some documents.',
        resolve: ({ thumbnails }) => thumbnails,
      }),
    }),
  });

builder.objectField(RecordRef, 'attachments', (t) =>
  t.field({
    type: [AttachmentRef],
    nullable: true,
    args: {
      field: t.arg.string({
        required: true,
        description: 'Id or exact name of the field. A misspelt name is an error that suggests the nearest.',
      }),
    },
    description:
      'The files of an attachment field, or of a lookup of one, in the order of the cell; [] when there are none.',
    resolve: async (record, { field }, context) => {
      const { readAt } = record.origin;
      const urlExpiresAt = readAt === null ? null : new Date(readAt + attachmentUrlLifetimeMs).toISOString();
      const attachments = await readOne(record, field, context, readAttachments);
      return attachments.map((attachment) => ({ ...attachment, urlExpiresAt }));
    },
  }),
);

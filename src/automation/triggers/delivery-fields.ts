import { AppError } from '../../errors.ts';
import { builder } from '../../graphql/builder.ts';
import { maxListLength, pageInfoOf, pageLength } from '../../graphql/list-slice.ts';
import { deliveryStatuses, type Delivery, type DeliveryStatus } from './delivery.ts';
import { maxExcerptCharacters } from './answer-excerpt.ts';
import { TriggerRef } from './schema.ts';

const DeliveryStatusEnum = builder.enumType('TriggerDeliveryStatus', {
  description: 'What became of a delivery.',
  values: Object.fromEntries(
    Object.entries(deliveryStatuses).map(([status, description]) => [
      status,
      { value: status as DeliveryStatus, description },
    ]),
  ) as Record<DeliveryStatus, { value: DeliveryStatus; description: string }>,
});

export const DeliveryErrorRef = builder
  .objectRef<{ code: string; message: string }>('TriggerDeliveryError')
  .implement({
    description: 'Why a delivery was not taken.',
    fields: (t) => ({
      code: t.exposeString('code', {
        description: 'Which failure, from the documented list of codes, such as ENDPOINT_REFUSED.',
      }),
      message: t.exposeString('message', { description: 'What failed and what to do about it.' }),
    }),
  });

const TriggerDeliveryRef = builder.objectRef<Delivery>('TriggerDelivery').implement({
  description: 'What a trigger tells of one change, and what became of that.',
  fields: (t) => ({
    id: t.string({
      description:
        'Id of the event, which goes with every attempt as `webhook-id`. Receivers know by it what they have seen.',
      resolve: ({ eventId }) => eventId,
    }),
    type: t.exposeString('type', {
      description: 'Such as `record.created`, `record.updated`, `record.deleted` or `changes.lost`.',
    }),
    recordId: t.string({
      nullable: true,
      description: 'The record; null for what is about no single record.',
      resolve: ({ recordId }) => recordId || null,
    }),
    status: t.field({
      type: DeliveryStatusEnum,
      description: 'What became of it.',
      resolve: ({ status }) => status,
    }),
    chain: t.field({
      type: ['String'],
      description: 'Ids of the triggers whose actions led to the change, the first one first; mostly empty.',
      resolve: ({ chain }) => chain,
    }),
    event: t.field({
      type: 'JSON',
      description:
        'The body that is sent, the same in every attempt: at most 256 KiB. For an action, what its values are taken from.',
      resolve: ({ body }) => JSON.parse(body) as object,
    }),
    attempts: t.exposeInt('attempts', { description: 'How often it was tried, in all.' }),
    createdAt: t.field({
      type: 'DateTime',
      description: 'When the change was read from the log.',
      resolve: ({ createdAt }) => createdAt,
    }),
    lastAttemptAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When the last attempt ended; null before the first.',
      resolve: ({ lastAttemptAt }) => lastAttemptAt,
    }),
    nextAttemptAt: t.field({
      type: 'DateTime',
      nullable: true,
      description:
        'From when on it is tried next, if no earlier one of its record waits; null once it is finished.',
      resolve: ({ status, nextAttemptAt }) => (status === 'WAITING' ? nextAttemptAt : null),
    }),
    finishedAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When it was taken, stopped or given up; null while it waits.',
      resolve: ({ finishedAt }) => finishedAt,
    }),
    httpStatus: t.exposeInt('httpStatus', {
      nullable: true,
      description: 'The status that the endpoint answered last; null when no answer came, and for an action.',
    }),
    answer: t.exposeString('answer', {
      nullable: true,
      description: `The beginning of what the endpoint said last, at most ${maxExcerptCharacters} characters; null when no answer came, and for an action.`,
    }),
    durationMs: t.exposeInt('durationMs', {
      nullable: true,
      description: 'How long the last attempt took, in milliseconds.',
    }),
    error: t.field({
      type: DeliveryErrorRef,
      nullable: true,
      description: 'Why the last attempt failed; null once it was taken.',
      resolve: ({ errorCode, errorMessage }) =>
        errorCode === null ? null : { code: errorCode, message: errorMessage ?? '' },
    }),
  }),
});

interface DeliveryPageNode {
  deliveries: Delivery[];
  hasMore: boolean;
  after: string | null;
}

const TriggerDeliveryEdgeRef = builder.objectRef<Delivery>('TriggerDeliveryEdge').implement({
  description: 'A delivery and its cursor.',
  fields: (t) => ({
    cursor: t.string({ description: 'Pass it as `after` to go on behind it.', resolve: cursorOf }),
    node: t.field({
      type: TriggerDeliveryRef,
      description: 'The delivery.',
      resolve: (delivery) => delivery,
    }),
  }),
});

const TriggerDeliveryPageRef = builder.objectRef<DeliveryPageNode>('TriggerDeliveryPage').implement({
  description: 'A part of the deliveries of a trigger, newest first.',
  fields: (t) => ({
    edges: t.field({
      type: [TriggerDeliveryEdgeRef],
      description: 'The deliveries with their cursors.',
      resolve: ({ deliveries }) => deliveries,
    }),
    nodes: t.field({
      type: [TriggerDeliveryRef],
      description: 'The deliveries.',
      resolve: ({ deliveries }) => deliveries,
    }),
    pageInfo: t.field({
      type: builder.pageInfoRef(),
      description: 'Whether there is more, and where to go on.',
      resolve: ({ deliveries, ...page }) => pageInfoOf(deliveries, cursorOf, page),
    }),
  }),
});

builder.objectField(TriggerRef, 'deliveries', (t) =>
  t.field({
    type: TriggerDeliveryPageRef,
    args: {
      status: t.arg({ type: DeliveryStatusEnum, description: 'Only those; all by default.' }),
      first: t.arg.int({ description: `How many, 1 to ${maxListLength}; 50 by default.` }),
      after: t.arg.string({ description: 'The `endCursor` of the page before.' }),
    },
    description:
      'What it has told and has still to tell, newest first. What was taken or stopped is kept for 7 days, what was given up for 30.',
    resolve: async ({ id }, { status, first, after }, { app }) => {
      const length = pageLength(first);
      const found = await app.triggers.deliveries.page(id, {
        status: status ?? null,
        before: after == null ? null : idIn(after),
        limit: length + 1,
      });
      return {
        deliveries: found.slice(0, length),
        hasMore: found.length > length,
        after: after ?? null,
      };
    },
  }),
);

function cursorOf({ id }: Delivery): string {
  return Buffer.from(`delivery:${id}`).toString('base64url');
}

/** @throws AppError CURSOR_INVALID */
function idIn(cursor: string): string {
  const text = Buffer.from(cursor.slice(0, 100), 'base64url').toString('utf8');
  const id = /^delivery:([1-9]\d{0,17})$/.exec(text)?.[1];
  if (id !== undefined) return id;
  throw new AppError(
    'CURSOR_INVALID',
    'The cursor "after" does not belong to the deliveries of a trigger. Take it from `endCursor`, or begin without it.',
  );
}

import { builder } from '../../graphql/builder.ts';
import type { ErrorCode } from '../../errors.ts';
import { recordWork, selectionHere } from '../operation-records.ts';
import { RecordRef } from '../schema.ts';
import { maxFaults } from './record-check.ts';
import { writtenRecord, type ToldResult, type ToldWrite } from './record-write.ts';
import {
  writeEffects,
  writeStatuses,
  type WriteEffect,
  type WriteFault,
  type WriteStatus,
} from './write-result.ts';

export const WriteStatusEnum = builder.enumType('RecordWriteStatus', {
  description: 'What became of one record of a write.',
  values: Object.fromEntries(
    Object.entries(writeStatuses).map(([status, description]) => [status, { description }]),
  ) as Record<WriteStatus, { description: string }>,
});

const WriteEffectEnum = builder.enumType('RecordWriteEffect', {
  description: 'What a write did to a record.',
  values: Object.fromEntries(
    Object.entries(writeEffects).map(([effect, description]) => [effect, { description }]),
  ) as Record<WriteEffect, { description: string }>,
});

const WriteErrorRef = builder.objectRef<{ code: ErrorCode; message: string }>('RecordWriteError').implement({
  description: 'Why a record was not written, or is not known to be.',
  fields: (t) => ({
    code: t.exposeString('code', { description: 'From the documented list of codes.' }),
    message: t.exposeString('message', {
      description: 'What failed and what to do next. May be shown to people.',
    }),
  }),
});

const WriteFaultRef = builder.objectRef<WriteFault>('RecordWriteFault').implement({
  description: 'One thing that is wrong with a record, found before anything was sent.',
  fields: (t) => ({
    path: t.exposeStringList('path', {
      description: 'Where in the input, from the outside in, such as `records`, `3`, `fields`, `Status`.',
    }),
    code: t.exposeString('code', { description: 'From the documented list of codes.' }),
    message: t.exposeString('message', {
      description: 'What is wrong there and what is accepted. May be shown beside the form field.',
    }),
  }),
});

const WriteResultRef = builder.objectRef<ToldResult>('RecordWriteResult').implement({
  description: 'What became of one record of a write.',
  fields: (t) => ({
    index: t.exposeInt('index', { description: 'Its place in the input, from 0.' }),
    status: t.field({
      type: WriteStatusEnum,
      description: 'What became of it.',
      resolve: ({ status }) => status,
    }),
    recordId: t.exposeString('recordId', {
      nullable: true,
      description: 'Its id; null for a new record that was not created for certain.',
    }),
    effect: t.field({
      type: WriteEffectEnum,
      nullable: true,
      description:
        'What the write did to it: of an upsert, whether it was created or updated. Null unless it was written.',
      resolve: ({ effect }) => effect,
    }),
    record: t.field({
      type: RecordRef,
      nullable: true,
      description:
        'The record after the write; null unless it was created or updated. Of a write that is told again it is the record as it is now, which is read.',
      resolve: (result, _args, context, info) =>
        writtenRecord(recordWork(context), result, selectionHere(context, info)),
    }),
    error: t.field({
      type: WriteErrorRef,
      nullable: true,
      description: 'Set unless it was written, or would be.',
      // A plain object: the executor would throw an Error that a resolver gives.
      resolve: ({ error }) => error && { code: error.code, message: error.message },
    }),
    warning: t.exposeString('warning', {
      nullable: true,
      description:
        'What is missing although the record was written: the service could not fetch an attachment. May be shown to people. Null otherwise.',
    }),
  }),
});

/** The writes answer alike, each by a type of its own so that a later field of one does not become one of all. */
export function successType(name: string, description: string) {
  return builder.objectRef<ToldWrite>(name).implement({
    description,
    fields: (t) => ({
      results: t.field({
        type: [WriteResultRef],
        description: 'One for each record, in the order of the input.',
        resolve: ({ results }) => results,
      }),
      written: t.int({
        description: 'How many have the status WRITTEN.',
        resolve: ({ results }) => results.filter(({ status }) => status === 'WRITTEN').length,
      }),
      faults: t.field({
        type: [WriteFaultRef],
        description: `What was found wrong before anything was sent, in all records: the first ${maxFaults}.`,
        resolve: ({ faults }) => faults.slice(0, maxFaults),
      }),
      faultCount: t.int({
        description: 'How many faults there are, listed or not.',
        resolve: ({ faults }) => faults.length,
      }),
      replayed: t.boolean({
        description:
          'Whether this tells of an earlier write with the same idempotency key. Nothing was sent now; each status is the present one.',
        resolve: ({ replayed }) => replayed,
      }),
      upstreamCalls: t.int({
        description:
          'Calls to the service that writing the records without a fault takes: one for each ten. With `validateOnly`, would take; 0 if it is only told again.',
        resolve: ({ upstreamCalls }) => upstreamCalls,
      }),
    }),
  });
}

import { connectionArgument } from '../../connections/connection-argument.ts';
import { ChangeKindEnum } from '../../changes/schema.ts';
import { builder } from '../../graphql/builder.ts';
import { RecordFilterInput } from '../../records/filters/filter-fields.ts';
import { writingActions } from './action-template.ts';
import { maxReplayed } from './delivery-list.ts';
import { maxUrlCharacters } from './endpoint-rules.ts';
import { defaultOverlapHours, maxOverlapHours } from './trigger-secrets.ts';

const kindsHelp = 'Only changes of these kinds; all when left out.';
const fieldsHelp =
  'Only updates that changed one of these fields, by id or exact name. Creations, deletions and records that leave the `filter` are told in any case.';
const filterHelp =
  'Only changes of records that pass this afterwards, and deletions; a record that stops passing is told once, with `leftFilter`. Takes what `records` takes, except for computed fields.';
const actionHelp = `What is carried out for each change, in place of an endpoint: an action as \`runAction\` takes it, one of ${writingActions.join(', ')}. In its \`config\` { "$field": "Email" } stands for a cell of the changed record and { "$record": "id" } for its id.`;
const endpointHelp = `Where deliveries are posted to: an https URL on the open internet, at most ${maxUrlCharacters} characters, without a password. A trigger has either this or an \`action\`.`;

export const CreateTriggerInput = builder.inputType('CreateTriggerInput', {
  description: 'A new trigger.',
  fields: (t) => ({
    name: t.string({ required: true, description: 'A label for people, 1 to 100 characters.' }),
    connection: t.int(connectionArgument),
    baseId: t.string({ required: true, description: 'Id of the base; starts with `app`.' }),
    tableId: t.string({ required: true, description: 'The table, by id or exact name.' }),
    kinds: t.field({ type: [ChangeKindEnum], description: kindsHelp }),
    fields: t.stringList({ description: fieldsHelp }),
    filter: t.field({ type: RecordFilterInput, description: filterHelp }),
    endpoint: t.string({ description: endpointHelp }),
    action: t.field({ type: 'JSON', description: actionHelp }),
  }),
});

export const UpdateTriggerInput = builder.inputType('UpdateTriggerInput', {
  description: 'What is to be different. What is left out stays; null takes a condition away.',
  fields: (t) => ({
    id: t.string({ required: true, description: 'Our id of the trigger.' }),
    name: t.string({ description: 'A label for people, 1 to 100 characters.' }),
    kinds: t.field({ type: [ChangeKindEnum], description: kindsHelp }),
    fields: t.stringList({ description: fieldsHelp }),
    filter: t.field({ type: RecordFilterInput, description: filterHelp }),
    endpoint: t.string({ description: endpointHelp }),
    action: t.field({ type: 'JSON', description: actionHelp }),
  }),
});

export const TriggerInput = (mutation: string) =>
  builder.inputType(`${mutation}Input`, {
    description: 'Which trigger.',
    fields: (t) => ({ id: t.string({ required: true, description: 'Our id of the trigger.' }) }),
  });

export const RotateTriggerSecretInput = builder.inputType('RotateTriggerSecretInput', {
  description: 'Which trigger gets a new secret.',
  fields: (t) => ({
    id: t.string({ required: true, description: 'Our id of the trigger.' }),
    overlapHours: t.int({
      description: `For how many hours deliveries are signed with the present secret too, 0 to ${maxOverlapHours}; ${defaultOverlapHours} by default.`,
    }),
  }),
});

export const ReplayDeliveriesInput = builder.inputType('ReplayDeliveriesInput', {
  description: 'Which deliveries to make again.',
  fields: (t) => ({
    id: t.string({ required: true, description: 'Our id of the trigger.' }),
    deliveries: t.stringList({
      description: `Ids of finished deliveries, at most ${maxReplayed}. When left out, the oldest ${maxReplayed} that are PARKED.`,
    }),
  }),
});

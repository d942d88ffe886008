import { builder } from '../graphql/builder.ts';
import type { RecordNode } from './record-node.ts';

export const RecordRef = builder.objectRef<RecordNode>('Record');

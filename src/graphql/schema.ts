import type { GraphQLSchema } from 'graphql';
import { auditMutations } from '../audit/mutation-fields.ts';
import { builder } from './builder.ts';
import './scalars.ts';
import './error-types.ts';
import '../access/schema.ts';
import '../audit/schema.ts';
import '../access/caller-fields.ts';
import '../connections/schema.ts';
import '../connections/grant-fields.ts';
import '../connections/credential-fields.ts';
import '../connections/authorization-fields.ts';
import '../connections/token-fields.ts';
import '../connections/subscription-fields.ts';
import '../activity/schema.ts';
import '../activity/activity-fields.ts';
import '../bases/schema.ts';
import '../bases/connection-fields.ts';
import '../records/schema.ts';
import '../records/linked-fields.ts';
import '../records/attachment-fields.ts';
import '../records/freshness-fields.ts';
import '../records/lookup-fields.ts';
import '../records/page-fields.ts';
import '../records/writes/write-fields.ts';
import '../webhooks/schema.ts';
import '../changes/schema.ts';
import '../changes/event-fields.ts';
import '../changes/page-fields.ts';
import '../changes/subscription-fields.ts';
import '../automation/schema.ts';
import '../automation/triggers/schema.ts';
import '../automation/triggers/delivery-fields.ts';
import '../automation/triggers/trigger-fields.ts';
import '../sync/schema.ts';
import '../sync/progress-fields.ts';
import '../sync/parked-fields.ts';
import '../sync/sync-fields.ts';
import '../sync/course-fields.ts';
import '../sync/conflict-fields.ts';
import '../sync/subscription-fields.ts';
import './node.ts';

/**
 * The whole schema. Each feature adds its part from its own folder; the order is that of their dependencies. Mutations
 * are audited as they are in the end, so that none can be added without.
 */
export const schema: GraphQLSchema = auditMutations(builder.toSchema());

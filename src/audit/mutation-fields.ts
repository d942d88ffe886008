import { errorTypeMap } from '@pothos/plugin-errors';
import { defaultFieldResolver, type GraphQLField, type GraphQLSchema } from 'graphql';
import type { GraphQLContext } from '../graphql/context.ts';
import { errorCodeOf } from '../graphql/error-masking.ts';
import type { AuditEnding } from './audit-event.ts';
import { factsOfInput, factsOfResult } from './mutation-facts.ts';

/**
 * Puts an entry of the audit log around every field of `Mutation`: written before anything else of it runs, even the
 * check of the caller's role, and completed before it is answered. A mutation whose entry can't be written is refused.
 * It costs one INSERT and one UPDATE for each mutation field.
 */
export function auditMutations(schema: GraphQLSchema): GraphQLSchema {
  const fields: Record<string, MutationField> = schema.getMutationType()?.getFields() ?? {};
  for (const field of Object.values(fields)) audit(field);
  return schema;
}

type MutationField = GraphQLField<unknown, GraphQLContext, { input?: unknown }>;

function audit(field: MutationField): void {
  const { name, resolve = defaultFieldResolver } = field;
  const inputType = field.args.find((argument) => argument.name === 'input')?.type;
  field.resolve = (source, args, context, info) => {
    const { app, caller, requestId } = context;
    return app.audit.during(
      {
        actor: { id: caller.id, name: caller.name },
        action: name,
        requestId,
        ...factsOfInput(name, inputType, args.input),
      },
      async () => await resolve(source, args, context, info),
      { done: endingOf, failed: (error) => ({ outcome: errorCodeOf(error) }) },
    );
  };
}

/** An error that is a member of the result's union is a refusal like one that was thrown. */
function endingOf(result: unknown): AuditEnding {
  if (typeof result === 'object' && result !== null && errorTypeMap.has(result))
    return { outcome: String('code' in result ? result.code : 'INTERNAL') };
  return { outcome: 'ok', ...factsOfResult(result) };
}

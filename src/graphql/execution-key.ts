import { createHash } from 'node:crypto';
import {
  getOperationAST,
  Kind,
  print,
  visit,
  type ExecutionArgs,
  type OperationDefinitionNode,
  type DocumentNode,
} from 'graphql';
import type { GraphQLContext } from './context.ts';
import type { Source } from './shared-source.ts';

/**
 * Names all that decides what an event looks like to a subscriber: the document and its variables, how far the caller
 * may see, what was wished by header, and the source. Only subscribers with equal keys are ever told the same result.
 * Who the caller is has no part in it, nor where the subscriber began.
 */
export function executionKey(args: ExecutionArgs, source: Source): string {
  const { document, operationName } = args;
  const { caller, wishes } = args.contextValue as GraphQLContext;
  const operation = getOperationAST(document, operationName);
  const parts = [
    document.loc?.source.body ?? print(document),
    operationName ?? null,
    operation ? variablesOf(args, document, operation, source.placeArgument) : null,
    caller.reach,
    wishes,
    source.key,
  ];
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url');
}

/** The variables that the operation declares, without one that serves for nothing but to say where to begin. */
function variablesOf(
  { variableValues }: ExecutionArgs,
  document: DocumentNode,
  operation: OperationDefinitionNode,
  placeArgument: string,
): Record<string, unknown> {
  const left = placeVariable(document, operation, placeArgument);
  const names = (operation.variableDefinitions ?? []).map(({ variable }) => variable.name.value);
  return Object.fromEntries(
    names.filter((name) => name !== left).map((name) => [name, variableValues?.[name]]),
  );
}

const found = new WeakMap<OperationDefinitionNode, string | null>();

function placeVariable(
  document: DocumentNode,
  operation: OperationDefinitionNode,
  placeArgument: string,
): string | null {
  const known = found.get(operation);
  if (known !== undefined) return known;
  const name = variableAtRoot(operation, placeArgument);
  let uses = 0;
  visit(document, {
    Variable(node, _key, parent) {
      const isDefinition = parent && 'kind' in parent && parent.kind === Kind.VARIABLE_DEFINITION;
      if (node.name.value === name && !isDefinition) uses += 1;
    },
  });
  const only = uses === 1 ? name : null;
  found.set(operation, only);
  return only;
}

function variableAtRoot(operation: OperationDefinitionNode, placeArgument: string): string | null {
  for (const selection of operation.selectionSet.selections) {
    const given = selection.kind === Kind.FIELD ? (selection.arguments ?? []) : [];
    const value = given.find(({ name }) => name.value === placeArgument)?.value;
    if (value?.kind === Kind.VARIABLE) return value.name.value;
  }
  return null;
}

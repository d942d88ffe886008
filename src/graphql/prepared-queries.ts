import {
  getNamedType,
  getOperationAST,
  isInputObjectType,
  Kind,
  OperationTypeNode,
  parse,
  typeFromAST,
  validate,
  type DocumentNode,
  type GraphQLNamedType,
  type GraphQLSchema,
  type NamedTypeNode,
  type SelectionSetNode,
} from 'graphql';
import { compileQuery, isCompiledQuery, type CompiledQuery } from 'graphql-jit';
import type { DocumentCache } from './document-cache.ts';
import { checkDocument, parseWithinLimits } from './document-limits.ts';

/** Runs of a query before it is compiled: compiling takes as long as some hundred runs save. */
const interpretedRuns = 10;

/** Characters of a document that is compiled. A long one gives much code, and compiling it would hold up everybody. */
const maxCompiledCharacters = 10_000;

/** One query of a document that has passed the limits and validation, so that only executing it is left. */
export interface PreparedQuery {
  document: DocumentNode;
  operationName: string | null;
  /** How often it was asked for. */
  runs: number;
  /** Null: not yet, or it can't be. */
  compiled: CompiledQuery | null;
}

/**
 * Queries by their text. What has been prepared of a document lives as long as the document, which the pipeline of all
 * operations shares: a text is parsed once, and the bound on what is kept is the cache's.
 */
export class PreparedQueries {
  readonly #schema: GraphQLSchema;
  readonly #documents: DocumentCache;
  readonly #prepared = new WeakMap<DocumentNode, Map<string | null, PreparedQuery | null>>();

  readonly #interpretedRuns: number;

  constructor(schema: GraphQLSchema, documents: DocumentCache, runs = interpretedRuns) {
    this.#schema = schema;
    this.#documents = documents;
    this.#interpretedRuns = runs;
  }

  /** @returns null for a mutation or subscription, and for whatever has a fault: the pipeline says which. */
  find(text: string, operationName: string | null): PreparedQuery | null {
    const document = this.#documents.get(text) ?? this.#parse(text);
    if (!document) return null;
    let operations = this.#prepared.get(document);
    if (!operations)
      this.#prepared.set(document, (operations = new Map<string | null, PreparedQuery | null>()));
    let prepared = operations.get(operationName);
    if (prepared !== undefined) return prepared && this.#counted(prepared, text);
    const isQuery = getOperationAST(document, operationName)?.operation === OperationTypeNode.QUERY;
    // An operation that is not there has no end of names.
    if (!isQuery) return null;
    prepared = this.#isFaultless(document) ? { document, operationName, runs: 0, compiled: null } : null;
    operations.set(operationName, prepared);
    return prepared && this.#counted(prepared, text);
  }

  /** Compiles a query when it has shown that it comes again and again. */
  #counted(prepared: PreparedQuery, text: string): PreparedQuery {
    prepared.runs += 1;
    if (prepared.runs !== this.#interpretedRuns + 1 || text.length > maxCompiledCharacters) return prepared;
    if (asksForNodes(prepared) || takesNestingInput(this.#schema, prepared)) return prepared;
    const compiled = compileQuery(this.#schema, prepared.document, prepared.operationName ?? undefined, {
      disablingCapturingStackErrors: true,
    });
    if (isCompiledQuery(compiled)) prepared.compiled = compiled;
    return prepared;
  }

  #parse(text: string): DocumentNode | null {
    try {
      const document = parseWithinLimits(text, (maxTokens) => parse(text, { maxTokens }));
      this.#documents.set(text, document);
      return document;
    } catch {
      return null;
    }
  }

  #isFaultless(document: DocumentNode): boolean {
    return checkDocument(document) === null && validate(this.#schema, document).length === 0;
  }
}

/**
 * Whether the query asks for `nodes`, the one field that gives a list of promises: compiled code would put the null of one
 * that fails at the end of the list instead of in its place.
 */
function asksForNodes({ document, operationName }: PreparedQuery): boolean {
  const isAsked = ({ selections }: SelectionSetNode): boolean =>
    selections.some((selection) => {
      if (selection.kind === Kind.FIELD) return selection.name.value === 'nodes';
      if (selection.kind === Kind.INLINE_FRAGMENT) return isAsked(selection.selectionSet);
      const spread = document.definitions.find(
        (definition) =>
          definition.kind === Kind.FRAGMENT_DEFINITION && definition.name.value === selection.name.value,
      );
      return spread?.kind === Kind.FRAGMENT_DEFINITION && isAsked(spread.selectionSet);
    });
  const operation = getOperationAST(document, operationName);
  return operation !== null && operation !== undefined && isAsked(operation.selectionSet);
}

/**
 * Whether a variable of the query is an input that may hold itself, such as a filter: the compiler writes code for each
 * level and never comes to an end of them, which would hold up everybody for half a minute.
 */
function takesNestingInput(schema: GraphQLSchema, { document, operationName }: PreparedQuery): boolean {
  const variables = getOperationAST(document, operationName)?.variableDefinitions ?? [];
  return variables.some(({ type }) => {
    const named = typeFromAST(schema, type as NamedTypeNode);
    return named !== undefined && reachesItself(getNamedType(named), []);
  });
}

function reachesItself(type: GraphQLNamedType, above: readonly GraphQLNamedType[]): boolean {
  if (!isInputObjectType(type)) return false;
  if (above.includes(type)) return true;
  return Object.values(type.getFields()).some((field) =>
    reachesItself(getNamedType(field.type), [...above, type]),
  );
}

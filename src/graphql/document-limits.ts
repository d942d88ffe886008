import {
  GraphQLError,
  Kind,
  type DocumentNode,
  type FragmentDefinitionNode,
  type SelectionSetNode,
  type ValueNode,
} from 'graphql';

/**
 * What one document may contain. Checked right after parsing and before validation, because validation is what a
 * hostile document makes expensive. Fragments count as often as they are spread; each is measured only once, so a
 * fragment bomb costs us no more than its own length.
 */
export const documentLimits = {
  /** Bounds what parsing and the caches of parsed documents can cost. */
  characters: 100_000,
  /** Lexer tokens; the parser stops there. */
  tokens: 10_000,
  /** A plain `__typename`, which clients add to every selection, is free once in each. */
  fields: 300,
  /** Spreads and inline fragments, also of those that hold no field but a free `__typename`: we walk them one by one. */
  fragments: 600,
  /** Aliased fields. An aliased `__typename` counts, the plain one that clients add does not. */
  aliases: 30,
  directives: 8,
  depth: 12,
  /** Under `__schema` and `__type`: the standard introspection query is deeper than data ever needs to be. */
  introspectionDepth: 16,
  /** Lists and objects within each other in one argument, written out or in variables: reading them takes a call per level. */
  valueDepth: 64,
} as const;

/** What a document holds once its fragments are spread out, all operations together. */
export interface Measure {
  fields: number;
  fragments: number;
  aliases: number;
  directives: number;
  depth: number;
  introspectionDepth: number;
  valueDepth: number;
}

const checked = new WeakMap<DocumentNode, GraphQLError | null>();

/**
 * Parses a text within the limits on its length and its tokens.
 * @throws GraphQLError of the limit, or of the syntax
 */
export function parseWithinLimits(text: string, parse: (maxTokens: number) => DocumentNode): DocumentNode {
  if (text.length > documentLimits.characters)
    throw tooComplex(`is longer than ${documentLimits.characters} characters`, 'characters');
  try {
    return parse(documentLimits.tokens);
  } catch (error) {
    if (error instanceof GraphQLError && /\d+ tokens\. Parsing aborted/.test(error.message))
      throw tooComplex(`has more than ${documentLimits.tokens} tokens`, 'tokens');
    // The parser calls itself for each level, so nesting far beyond the limit can use up the stack.
    if (error instanceof RangeError) throw tooDeep();
    throw error;
  }
}

/** @returns what is wrong with the document, or null. The answer is remembered per parsed document. */
export function checkDocument(document: DocumentNode): GraphQLError | null {
  let fault = checked.get(document);
  if (fault === undefined) {
    fault = faultOf(measureDocument(document));
    checked.set(document, fault);
  }
  return fault;
}

/** Exact for valid documents; one with unused fragments or a cycle is refused by validation in any case. */
export function measureDocument(document: DocumentNode): Measure {
  const fragments = new Map<string, FragmentDefinitionNode>();
  for (const definition of document.definitions) {
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition);
  }
  const measured = new Map<string, Measure>();
  const total = nothing();
  for (const definition of document.definitions) {
    if (definition.kind !== Kind.OPERATION_DEFINITION) continue;
    const measure = measureSelections(definition.selectionSet, fragments, measured, new Set());
    measure.directives += definition.directives?.length ?? 0;
    for (const variable of definition.variableDefinitions ?? []) {
      measure.directives += variable.directives?.length ?? 0;
      if (variable.defaultValue) addValues(measure, [variable.defaultValue]);
    }
    add(total, measure);
    total.depth = Math.max(total.depth, measure.depth);
    total.introspectionDepth = Math.max(total.introspectionDepth, measure.introspectionDepth);
  }
  // Fragments that nothing spreads are refused by validation, but validating them costs as much as any.
  for (const [name, fragment] of fragments) {
    if (!measured.has(name))
      add(total, measureSelections(fragment.selectionSet, fragments, measured, new Set([name])));
  }
  return total;
}

function measureSelections(
  selections: SelectionSetNode,
  fragments: Map<string, FragmentDefinitionNode>,
  measured: Map<string, Measure>,
  within: Set<string>,
): Measure {
  const sum = nothing();
  let hasTypename = false;
  for (const selection of selections.selections) {
    sum.directives += selection.directives?.length ?? 0;
    if (selection.kind === Kind.FIELD) {
      if (selection.arguments?.length)
        addValues(
          sum,
          selection.arguments.map(({ value }) => value),
        );
      const name = selection.name.value;
      if (selection.alias) sum.aliases += 1;
      else if (name === '__typename' && !hasTypename) {
        hasTypename = true;
        continue;
      }
      sum.fields += 1;
      const below =
        selection.selectionSet && measureSelections(selection.selectionSet, fragments, measured, within);
      if (below) add(sum, below);
      const isIntrospection = name === '__schema' || name === '__type';
      const depth = 1 + (below?.depth ?? 0);
      // Below __schema everything is introspection, whose depth is counted on its own.
      if (isIntrospection) {
        sum.introspectionDepth = Math.max(sum.introspectionDepth, depth);
        sum.depth = Math.max(sum.depth, 1);
      } else {
        sum.depth = Math.max(sum.depth, depth);
        sum.introspectionDepth = Math.max(sum.introspectionDepth, below?.introspectionDepth ?? 0);
      }
    } else {
      sum.fragments += 1;
      const below =
        selection.kind === Kind.INLINE_FRAGMENT
          ? measureSelections(selection.selectionSet, fragments, measured, within)
          : measureFragment(selection.name.value, fragments, measured, within);
      if (!below) continue;
      add(sum, below);
      sum.depth = Math.max(sum.depth, below.depth);
      sum.introspectionDepth = Math.max(sum.introspectionDepth, below.introspectionDepth);
    }
  }
  return sum;
}

/** @returns null for an unknown fragment or a cycle; validation names both. */
function measureFragment(
  name: string,
  fragments: Map<string, FragmentDefinitionNode>,
  measured: Map<string, Measure>,
  within: Set<string>,
): Measure | null {
  const known = measured.get(name);
  if (known) return known;
  const fragment = fragments.get(name);
  if (!fragment || within.has(name)) return null;
  within.add(name);
  const measure = measureSelections(fragment.selectionSet, fragments, measured, within);
  measure.directives += fragment.directives?.length ?? 0;
  within.delete(name);
  measured.set(name, measure);
  return measure;
}

function add(sum: Measure, part: Measure): void {
  sum.fields += part.fields;
  sum.fragments += part.fragments;
  sum.aliases += part.aliases;
  sum.directives += part.directives;
  sum.valueDepth = Math.max(sum.valueDepth, part.valueDepth);
}

function nothing(): Measure {
  return {
    fields: 0,
    fragments: 0,
    aliases: 0,
    directives: 0,
    depth: 0,
    introspectionDepth: 0,
    valueDepth: 0,
  };
}

/** Level by level, since a function that calls itself would run out of stack where this is needed. */
function addValues(sum: Measure, values: readonly ValueNode[]): void {
  const isNest = ({ kind }: ValueNode) => kind === Kind.LIST || kind === Kind.OBJECT;
  let depth = 0;
  for (let level = values.filter(isNest); level.length > 0; depth += 1) {
    level = level
      .flatMap((value) => {
        if (value.kind === Kind.LIST) return value.values;
        return value.kind === Kind.OBJECT ? value.fields.map((field) => field.value) : [];
      })
      .filter(isNest);
  }
  sum.valueDepth = Math.max(sum.valueDepth, depth);
}

function faultOf(total: Measure): GraphQLError | null {
  if (total.depth > documentLimits.depth) return tooDeep();
  if (total.introspectionDepth > documentLimits.introspectionDepth)
    return tooComplex(
      `nests introspection deeper than ${documentLimits.introspectionDepth} levels`,
      'introspectionDepth',
    );
  if (total.valueDepth > documentLimits.valueDepth)
    return tooComplex(`nests an argument deeper than ${documentLimits.valueDepth} levels`, 'valueDepth');
  if (total.aliases > documentLimits.aliases)
    return tooComplex(`has more than ${documentLimits.aliases} aliases`, 'aliases');
  if (total.directives > documentLimits.directives)
    return tooComplex(`has more than ${documentLimits.directives} directives`, 'directives');
  if (total.fields > documentLimits.fields)
    return tooComplex(`selects more than ${documentLimits.fields} fields`, 'fields');
  if (total.fragments > documentLimits.fragments)
    return tooComplex(`spreads more than ${documentLimits.fragments} fragments`, 'fragments');
  return null;
}

function tooDeep(): GraphQLError {
  return tooComplex(`nests fields deeper than ${documentLimits.depth} levels`, 'depth');
}

function tooComplex(what: string, limit: keyof typeof documentLimits): GraphQLError {
  return new GraphQLError(`The document ${what}. Split it into several operations.`, {
    extensions: {
      code: 'DOCUMENT_TOO_COMPLEX',
      limit,
      maximum: documentLimits[limit],
      http: { status: 400 },
    },
  });
}

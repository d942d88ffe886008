import {
  getNamedType,
  isAbstractType,
  isCompositeType,
  isInterfaceType,
  isObjectType,
  isRequiredArgument,
  type GraphQLCompositeType,
  type GraphQLNamedType,
  type GraphQLObjectType,
  type GraphQLSchema,
} from 'graphql';

/** `Type.field` of every field of every object type, as introspection tells them. */
export function allFields(schema: GraphQLSchema): string[] {
  return Object.values(schema.getTypeMap())
    .filter((type) => isObjectType(type) && !type.name.startsWith('__'))
    .flatMap((type) =>
      isObjectType(type) ? Object.keys(type.getFields()).map((field) => `${type.name}.${field}`) : [],
    );
}

/** Which of them are what a client branches on when something fails. */
export function errorTypes(schema: GraphQLSchema): Set<string> {
  const error = schema.getType('Error');
  if (!isInterfaceType(error)) throw new Error('The schema has no interface Error.');
  return new Set(schema.getPossibleTypes(error).map(({ name }) => name));
}

export interface Walk {
  schema: GraphQLSchema;
  /** Arguments by `Type.field`, for fields that need some. */
  argumentsOf: Record<string, string>;
  /** Fields that are left out: they have operations of their own. */
  leaveOut: (field: string) => boolean;
}

interface Selection {
  type: GraphQLCompositeType;
  /** Fields that another member of the same union has with another type. */
  aliased: ReadonlySet<string>;
  /** Text before a selection, and what is selected there. */
  parts: [string, Selection | null][];
}

/**
 * Selects everything below a type: each field of each object type once, where the type is met first, breadth first so
 * that the document stays flat. Where a type is met again only its name is asked for.
 */
export function selectionBelow(type: GraphQLNamedType, walk: Walk): string {
  if (!isCompositeType(type)) return '';
  const root = selectionOf(type);
  const visited = new Set<string>();
  const queue = [root];
  for (let next = queue.shift(); next; next = queue.shift()) queue.push(...expand(next, visited, walk));
  return printed(root);
}

/** Between a field and its type in an alias; no field of ours has it in its name. */
const aliasMark = '_of_';

function selectionOf(type: GraphQLCompositeType, aliased: ReadonlySet<string> = new Set()): Selection {
  return { type, aliased, parts: [] };
}

/** Fields of a member that one before it has with another type, so that they can not have the same key. */
function clashes(member: GraphQLObjectType, before: readonly GraphQLObjectType[]): Set<string> {
  const differs = (name: string, type: string) =>
    before.some((other) => {
      const same = other.getFields()[name];
      return same !== undefined && String(same.type) !== type;
    });
  return new Set(
    Object.values(member.getFields())
      .filter((field) => differs(field.name, String(field.type)))
      .map(({ name }) => name),
  );
}

function expand(selection: Selection, visited: Set<string>, walk: Walk): Selection[] {
  const { type, parts } = selection;
  if (isAbstractType(type)) {
    const types = walk.schema.getPossibleTypes(type);
    const members = types.map((member, index) => selectionOf(member, clashes(member, types.slice(0, index))));
    for (const member of members) parts.push([`... on ${member.type.name}`, member]);
    return members;
  }
  if (visited.has(type.name) || !isObjectType(type)) return [];
  visited.add(type.name);
  const below: Selection[] = [];
  for (const field of Object.values(type.getFields())) {
    const name = `${type.name}.${field.name}`;
    if (walk.leaveOut(name)) continue;
    const given = walk.argumentsOf[name];
    if (given === undefined && field.args.some(isRequiredArgument))
      throw new Error(`Say in "argumentsOf" with which arguments ${name} can be asked for.`);
    const alias = selection.aliased.has(field.name) ? `${field.name}${aliasMark}${type.name}: ` : '';
    const text = `${alias}${field.name}${given === undefined ? '' : `(${given})`}`;
    const named = getNamedType(field.type);
    const child = isCompositeType(named) ? selectionOf(named) : null;
    if (child) below.push(child);
    parts.push([text, child]);
  }
  return below;
}

function printed({ parts }: Selection): string {
  const texts = parts.map(([text, child]) => (child ? `${text} ${printed(child)}` : text));
  return `{ ${['__typename', ...texts].join(' ')} }`;
}

/** Adds `Type.field` of everything that an answer holds, however deep. */
export function addAnswered(value: unknown, answered: Set<string>): void {
  if (Array.isArray(value)) for (const one of value) addAnswered(one, answered);
  else if (typeof value === 'object' && value !== null && '__typename' in value) {
    for (const [key, below] of Object.entries(value)) {
      const [field] = key.split(aliasMark) as [string];
      if (field === '__typename') continue;
      answered.add(`${String(value.__typename)}.${field}`);
      addAnswered(below, answered);
    }
  }
}

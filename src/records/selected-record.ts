import {
  BREAK,
  getArgumentValues,
  isObjectType,
  visit,
  type ASTNode,
  type FieldNode,
  type GraphQLResolveInfo,
} from 'graphql';
import { selectedFields } from '../graphql/selected-fields.ts';
import type { RecordSelection } from './record-selection.ts';

type Info = Pick<GraphQLResolveInfo, 'schema' | 'fragments' | 'variableValues'>;

/** What a link tells of a record, so that these fields need no lookup. */
const toldByLink = new Set(['__typename', 'id', 'nodeId', 'table', 'changes']);

/** Each field of Record that reads the one cell named by its argument `field`. */
const cellFields = new Set(['value', 'text', 'number', 'date', 'checked', 'linkedCount', 'attachments']);

/** What no variable has a part in, by the node that asks: the same in every run of its document. Null where one has. */
const constants = new WeakMap<FieldNode, RecordSelection | null>();

/**
 * What the document asks of the records behind these fields.
 * @param fieldNodes nodes of fields whose type is Record, a list of it, or an interface of it
 */
export function recordSelection(info: Info, fieldNodes: readonly FieldNode[]): RecordSelection {
  const [node, ...others] = fieldNodes;
  if (!node || others.length > 0) return readSelection(info, fieldNodes);
  const known = constants.get(node);
  if (known) return known;
  const selection = readSelection(info, fieldNodes);
  if (known === undefined) constants.set(node, hasVariables(info, node) ? null : selection);
  return selection;
}

function hasVariables(info: Info, node: ASTNode): boolean {
  let found = false;
  visit(node, {
    Variable() {
      found = true;
      return BREAK;
    },
    FragmentSpread({ name }) {
      const fragment = info.fragments[name.value];
      found ||= fragment !== undefined && hasVariables(info, fragment);
      return found ? BREAK : undefined;
    },
  });
  return found;
}

function readSelection(info: Info, fieldNodes: readonly FieldNode[]): RecordSelection {
  const recordType = info.schema.getType('Record');
  if (!isObjectType(recordType)) throw new Error('The schema has no type Record');
  const definitions = recordType.getFields();
  const names = new Set<string>();
  const links = new Map<string, FieldNode[]>();
  let all = false;
  let asksProblems = false;
  let needsRecord = false;

  for (const node of selectedFields(info, fieldNodes, 'Record')) {
    const name = node.name.value;
    if (toldByLink.has(name)) continue;
    needsRecord = true;
    const definition = definitions[name];
    const args = definition ? getArgumentValues(definition, node, info.variableValues) : {};
    if (name === 'problems') asksProblems = true;
    else if (name === 'fields') {
      if (Array.isArray(args.names)) for (const field of args.names) names.add(String(field));
      else all = true;
    } else if (name === 'linked') {
      const field = String(args.field);
      names.add(field);
      links.set(field, [...(links.get(field) ?? []), node]);
    } else if (cellFields.has(name)) names.add(String(args.field));
  }
  return {
    // Problems are those of the cells asked for beside them, or of all.
    names: all || (asksProblems && names.size === 0) ? 'all' : names,
    links: [...links].map(([field, nodes]) => ({ field, selection: recordSelection(info, nodes) })),
    needsRecord,
  };
}

/** The nodes of the fields at `path` below this one, such as `edges`, `node`. */
export function fieldNodesBelow(
  info: GraphQLResolveInfo,
  path: readonly [typeName: string, fieldName: string][],
): readonly FieldNode[] {
  let nodes: readonly FieldNode[] = info.fieldNodes;
  for (const [typeName, fieldName] of path) {
    nodes = selectedFields(info, nodes, typeName).filter((node) => node.name.value === fieldName);
  }
  return nodes;
}

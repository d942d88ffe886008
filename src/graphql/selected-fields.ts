import {
  getDirectiveValues,
  GraphQLIncludeDirective,
  GraphQLSkipDirective,
  isAbstractType,
  isObjectType,
  Kind,
  type FieldNode,
  type GraphQLResolveInfo,
  type SelectionNode,
} from 'graphql';

type Info = Pick<GraphQLResolveInfo, 'schema' | 'fragments' | 'variableValues'>;

/**
 * The fields that the document selects on `typeName` below `parents`: fragments spread out, @skip and @include obeyed.
 * A field that stands there twice comes twice.
 */
export function selectedFields(info: Info, parents: readonly FieldNode[], typeName: string): FieldNode[] {
  const found: FieldNode[] = [];
  for (const parent of parents) collect(info, parent.selectionSet?.selections ?? [], typeName, found);
  return found;
}

function collect(
  info: Info,
  selections: readonly SelectionNode[],
  typeName: string,
  found: FieldNode[],
): void {
  for (const selection of selections) {
    if (!isIncluded(info, selection)) continue;
    if (selection.kind === Kind.FIELD) {
      found.push(selection);
      continue;
    }
    const fragment =
      selection.kind === Kind.INLINE_FRAGMENT ? selection : info.fragments[selection.name.value];
    if (fragment && concerns(info, fragment.typeCondition?.name.value, typeName)) {
      collect(info, fragment.selectionSet.selections, typeName, found);
    }
  }
}

function isIncluded(info: Info, selection: SelectionNode): boolean {
  if (!selection.directives?.length) return true;
  if (getDirectiveValues(GraphQLSkipDirective, selection, info.variableValues)?.if === true) return false;
  return getDirectiveValues(GraphQLIncludeDirective, selection, info.variableValues)?.if !== false;
}

function concerns(info: Info, condition: string | undefined, typeName: string): boolean {
  if (condition === undefined || condition === typeName) return true;
  const [abstract, object] = [info.schema.getType(condition), info.schema.getType(typeName)];
  return isAbstractType(abstract) && isObjectType(object) && info.schema.isSubType(abstract, object);
}

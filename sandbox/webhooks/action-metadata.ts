import type { ChangeSource, Transaction } from '../changes/transaction.ts';
import type { Bases } from '../bases/bases.ts';
import type { PermissionLevel, User } from '../oauth/grant.ts';

export interface ActionMetadata {
  source: ChangeSource;
  sourceMetadata?: {
    user?: User & { permissionLevel: PermissionLevel };
    viewId?: string;
    pageId?: string;
    automationId?: string;
  };
}

/** Edits do not say which page or automation they came by; these stand for the only ones there are. */
const PAGE_ID = 'pbdSandboxFormPage';
const AUTOMATION_ID = 'wflSandboxWorkflow';

/** Who did it and by what way: a user for people and the API, a form, page or automation, or nothing. */
export function actionMetadata(
  transaction: Transaction,
  permissionLevel: PermissionLevel,
  bases: Bases,
): ActionMetadata {
  const { source, user } = transaction;
  switch (source) {
    case 'client':
    case 'publicApi':
      return user === null ? { source } : { source, sourceMetadata: { user: { ...user, permissionLevel } } };
    case 'formSubmission': {
      const viewId = formView(transaction, bases);
      return viewId === undefined ? { source } : { source, sourceMetadata: { viewId } };
    }
    case 'formPageSubmission':
      return { source, sourceMetadata: { pageId: PAGE_ID } };
    case 'automation':
      return { source, sourceMetadata: { automationId: AUTOMATION_ID } };
    default:
      return { source };
  }
}

/** The first form of a changed table. */
function formView({ changedTablesById }: Transaction, bases: Bases): string | undefined {
  const views = Object.keys(changedTablesById).flatMap((tableId) => bases.table(tableId)?.views ?? []);
  return views.find((view) => view.type === 'form')?.id;
}

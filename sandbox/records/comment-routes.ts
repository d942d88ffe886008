import { invalidRequest, notFound, notPermittedOrNotFound } from '../api-error.ts';
import type { RecordDoc } from '../bases/documents.ts';
import type { SandboxContext } from '../context.ts';
import type { SandboxRequest } from '../http/message.ts';
import type { Router } from '../http/router.ts';
import { suffices } from '../oauth/grant.ts';
import { Comments, MAX_COMMENTS_PER_RECORD, type CommentDoc } from './comments.ts';
import { getRecordOf } from './writes.ts';

const ROOT = '/v0/:baseId/:table/:recordId/comments';
const ONE = `${ROOT}/:commentId`;
const MAX_TEXT_CHARACTERS = 10_000;
const MAX_PAGE_SIZE = 100;

/** Reading comments needs the role `read` in the base, writing them `comment`; only their author may change them. */
export function commentRoutes(router: Router, context: SandboxContext): void {
  const comments = new Comments(context);
  const add = (
    method: string,
    pattern: string,
    endpoint: string,
    handler: (record: RecordDoc, request: SandboxRequest) => unknown,
  ): void => {
    const writes = method !== 'GET';
    router.add(method, pattern, {
      endpoint,
      scopes: [`data.recordComments:${writes ? 'write' : 'read'}`],
      handler: (request) => {
        const { baseId = '', table = '', recordId = '' } = request.params;
        const role = context.users.roleIn(request.grant.userId, baseId);
        if (writes && !suffices(role, 'comment')) throw notPermittedOrNotFound();
        const record = getRecordOf(context, context.bases.getTable(baseId, table), recordId);
        return { status: 200, json: handler(record, request) };
      },
    });
  };
  const ownComment = (record: RecordDoc, { params, grant }: SandboxRequest): CommentDoc => {
    const comment = comments.find(record.id, params['commentId'] ?? '');
    if (comment === undefined) throw notFound();
    if (comment.authorId !== grant.userId) throw notPermittedOrNotFound();
    return comment;
  };

  add('GET', ROOT, 'listComments', (record, { query }) => {
    const start = readOffset(query.get('offset'));
    const pageSize = readPageSize(query.get('pageSize'));
    const all = comments.list(record.id);
    const page = all.slice(start, start + pageSize).map((comment) => comments.show(comment));
    // Unlike in lists of records, the last page says so with null.
    return { comments: page, offset: start + pageSize < all.length ? String(start + pageSize) : null };
  });
  add('POST', ROOT, 'createComment', (record, request) => {
    const { text, parentCommentId } = readComment(request.json());
    if (comments.list(record.id).length >= MAX_COMMENTS_PER_RECORD) {
      throw invalidRequest(`Invalid request: a record has at most ${MAX_COMMENTS_PER_RECORD} comments.`);
    }
    if (parentCommentId !== undefined && comments.find(record.id, parentCommentId) === undefined)
      throw notFound();
    return comments.show(comments.create(record, request.grant.userId, text, parentCommentId));
  });
  add('PATCH', ONE, 'updateComment', (record, request) => {
    const comment = ownComment(record, request);
    return comments.show(comments.update(comment, readComment(request.json()).text));
  });
  add('DELETE', ONE, 'deleteComment', (record, request) => {
    const { id } = ownComment(record, request);
    comments.delete(record, id);
    return { id, deleted: true };
  });
}

function readComment(body: unknown): { text: string; parentCommentId?: string } {
  if (typeof body !== 'object' || body === null) throw invalidRequest();
  const { text, parentCommentId } = body as { text?: unknown; parentCommentId?: unknown };
  if (typeof text !== 'string' || text === '' || text.length > MAX_TEXT_CHARACTERS) throw invalidRequest();
  if (parentCommentId === undefined) return { text };
  if (typeof parentCommentId !== 'string') throw invalidRequest();
  return { text, parentCommentId };
}

function readOffset(text: string | null): number {
  if (text === null || text === '') return 0;
  if (!/^\d{1,6}$/.test(text)) throw invalidRequest();
  return Number(text);
}

function readPageSize(text: string | null): number {
  if (text === null || text === '') return MAX_PAGE_SIZE;
  const size = Number(text);
  if (!Number.isInteger(size) || size < 1 || size > MAX_PAGE_SIZE) throw invalidRequest();
  return size;
}

import type { RecordDoc } from '../bases/documents.ts';
import type { SandboxContext } from '../context.ts';
import type { Collection } from '../state/collection.ts';

/** Comments kept of one record. */
export const MAX_COMMENTS_PER_RECORD = 1_000;

export interface CommentDoc {
  id: string;
  recordId: string;
  authorId: string;
  text: string;
  /** ISO. */
  createdTime: string;
  /** ISO; null until it is edited. */
  lastUpdatedTime: string | null;
  parentCommentId?: string;
}

type CommentContext = Pick<SandboxContext, 'state' | 'records' | 'users' | 'clock' | 'ids'>;

/** Comments on records. The count on each record document is kept in step, because lists show it. */
export class Comments {
  private readonly docs: Collection<CommentDoc>;

  constructor(private readonly context: CommentContext) {
    this.docs = context.state.collection('comments');
  }

  /** Of one record, newest first. */
  list(recordId: string): CommentDoc[] {
    return [...this.docs.values()].filter((comment) => comment.recordId === recordId).toReversed();
  }

  find(recordId: string, commentId: string): CommentDoc | undefined {
    const comment = this.docs.get(commentId);
    return comment?.recordId === recordId ? comment : undefined;
  }

  create(record: RecordDoc, authorId: string, text: string, parentCommentId?: string): CommentDoc {
    const comment: CommentDoc = {
      id: this.context.ids.next('com'),
      recordId: record.id,
      authorId,
      text,
      createdTime: this.context.clock.iso(),
      lastUpdatedTime: null,
      ...(parentCommentId !== undefined && { parentCommentId }),
    };
    this.context.state.atomically(() => {
      this.docs.put(comment.id, comment);
      this.count(record);
    });
    return comment;
  }

  update(comment: CommentDoc, text: string): CommentDoc {
    const updated = { ...comment, text, lastUpdatedTime: this.context.clock.iso() };
    this.docs.put(comment.id, updated);
    return updated;
  }

  delete(record: RecordDoc, commentId: string): void {
    this.context.state.atomically(() => {
      this.docs.delete(commentId);
      this.count(record);
    });
  }

  /** As the API shows it; people named as `@[usr…]` in the text are listed under `mentioned`. */
  show({
    id,
    authorId,
    text,
    createdTime,
    lastUpdatedTime,
    parentCommentId,
  }: CommentDoc): Record<string, unknown> {
    const mentioned: Record<string, unknown> = {};
    for (const [, userId = ''] of text.matchAll(/@\[(usr[0-9A-Za-z]{14})\]/g)) {
      const user = this.context.users.get(userId);
      if (user) mentioned[userId] = { type: 'user', id: userId, displayName: user.name, email: user.email };
    }
    return {
      id,
      author: this.context.users.get(authorId) ?? { id: authorId },
      text,
      createdTime,
      lastUpdatedTime,
      ...(Object.keys(mentioned).length > 0 && { mentioned }),
      ...(parentCommentId !== undefined && { parentCommentId }),
    };
  }

  private count({ tableId, id }: RecordDoc): void {
    const record = this.context.records.find(tableId, id);
    if (record) this.context.records.of(tableId).put(id, { ...record, commentCount: this.list(id).length });
  }
}

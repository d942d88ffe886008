/** Why a read that would have taken a copy was answered by the upstream. */
export const liveReasons = {
  NO_COPY:
    'No sync of this connection keeps a copy of the table: there is none, it only pushes, is paused, or has not been filled yet.',
  TOO_OLD:
    'The copy was older than `maxAge`, or than a write through this server to the base. It is being brought up to date; ask again in some seconds.',
  NOT_COPIED:
    'A field that is selected, filtered, searched or sorted by can change without the service telling of it: what it computes, people, files, fields whose type or choices were changed since the copy was read, and texts with the character U+FFFD. Name the fields that you need.',
  ORDER_NOT_DOCUMENTED:
    'The service does not document in which order it puts the values of a field of `sort`. Numbers, dates, checkboxes and single selects are sorted in the copy.',
  TOO_SLOW: 'Searching or sorting the copy took longer than five seconds.',
  UPSTREAM_ONLY: 'The service alone can answer `formula` and `view`.',
  LIVE_CURSOR: '`after` comes from a live page, and a listing goes on where it began.',
} as const;

export type LiveReason = keyof typeof liveReasons;

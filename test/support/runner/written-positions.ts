import { findSourceMap } from 'node:module';
import { fileURLToPath } from 'node:url';

/** Jest asks for a hundred, which takes most of the time where an operation has thousands of errors. */
const maxFrames = 20;

/**
 * Makes stacks tell positions in the files as they are written. Node would do so by itself, but calls functions
 * without a name `<anonymous>`, and Jest leaves out such lines: of a test, that is the one that failed.
 */
export function showWrittenPositions(): void {
  Error.stackTraceLimit = maxFrames;
  Error.prepareStackTrace = (error, frames) =>
    [errorLine(error), ...frames.map((frame) => `    at ${writtenFrame(frame)}`)].join('\n');
}

function errorLine(error: Error): string {
  try {
    return String(error);
  } catch {
    return 'Error';
  }
}

function writtenFrame(frame: NodeJS.CallSite): string {
  const text = (frame as { toString(): string }).toString();
  const file = frame.getFileName();
  const line = frame.getLineNumber();
  const column = frame.getColumnNumber();
  if (!file?.startsWith('file:') || line === null || column === null) return text;
  const origin = findSourceMap(file)?.findOrigin(line, column);
  if (!origin || !('lineNumber' in origin)) return text;
  const position = `${fileURLToPath(file)}:${origin.lineNumber}:${origin.columnNumber}`;
  return text.replace(`${file}:${line}:${column}`, position);
}

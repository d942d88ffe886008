import diagnostics from 'node:diagnostics_channel';
import { moment } from '../moment.ts';

interface Told {
  request: { path: string };
}

/** When the requests that this process sends by undici to paths that match reach a stage: the times since the last look. */
export function momentsOf(
  stage: 'client:sendHeaders' | 'request:headers' | 'request:trailers',
  path: RegExp,
) {
  let moments: number[] = [];
  diagnostics.subscribe(`undici:${stage}`, (message) => {
    if (path.test((message as Told).request.path)) moments.push(moment());
  });
  return (): number[] => {
    const seen = moments;
    moments = [];
    return seen;
  };
}

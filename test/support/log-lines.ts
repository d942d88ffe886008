import { Writable } from 'node:stream';

/** Keeps everything that was logged, for tests that look for something in it, or for its absence. */
export class LogLines extends Writable {
  text = '';

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString('utf8');
    done();
  }
}

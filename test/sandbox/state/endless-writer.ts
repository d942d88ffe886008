import { State } from '../../../sandbox/state/state.ts';

/** Puts one document after the other and says so, until it is killed. */
const state = new State(process.argv[2]);
for (let value = 0; ; value += 1) {
  state.collection('things').put(`thing${value}`, { value });
  await new Promise((resolve) => process.stdout.write(`${value}\n`, resolve));
}

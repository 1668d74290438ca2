// How a program talks to the tests: one JSON object on stdin, one JSON line as the last of stdout.

import { text as readAll } from "node:stream/consumers";

/**
 * Ask what stdin says, and print `{"vectors": [[...], ...]}`.
 *
 * If the SDK throws, the exit code is 1. If it read the server's answer as an error of its own class, stdout has
 * `{"refused": {"class": ..., "status": ..., "message": ...}}`, as a user of the SDK would see it.
 *
 * @param {(baseUrl: string) => {one: (text: string) => Promise<number[]>, list: (texts: string[]) => Promise<number[][]>}} connect
 *   Make the SDK's client.
 * @param {(error: Error) => {status: number, message: string} | undefined} refusal
 *   Say what an error tells, if it is the SDK's own class for answers that are errors.
 */
export async function answer(connect, refusal) {
  const { base_url: baseUrl, mode, texts } = JSON.parse(await readAll(process.stdin));
  try {
    const client = connect(baseUrl);
    const modes = {
      one: async () => [await client.one(texts[0])],
      crowd: () => Promise.all(texts.map(client.one)),
      list: () => client.list(texts),
    };
    print({ vectors: await modes[mode]() });
  } catch (error) {
    const read = refusal(error);
    if (read !== undefined) print({ refused: { class: error.constructor.name, ...read } });
    process.stderr.write(`${error.stack}\n`);
    process.exitCode = 1;
  }
}

function print(result) {
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

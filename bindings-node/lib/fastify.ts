/** Fastify: a plugin that gives each request its context, and rejections their answer. */

import { AsyncResource } from 'node:async_hooks';

import { answerTo, enter, type HasHeaders, type ServerOptions } from './http.js';

export type { ServerOptions } from './http.js';

/** What is needed of a reply. */
export interface ReplyLike {
  code(status: number): unknown;
  header(name: string, value: string): unknown;
  send(body: unknown): unknown;
}

type Hook = (request: any, reply: any, done: (error?: any) => void) => void;

/** What is needed of the instance that the plugin is registered with. */
export interface InstanceLike {
  addHook(name: 'onRequest' | 'preValidation', hook: Hook): unknown;
  setErrorHandler(handler: (error: any, request: any, reply: any) => unknown): unknown;
}

/** Answers a rejection of a policy with its status and its Retry-After, and throws any other error on. For calling in an error handler of your own. */
export function errorHandler(error: unknown, _request: unknown, reply: ReplyLike): unknown {
  const answer = answerTo(error);
  if (answer === undefined) throw error;
  reply.code(answer.status);
  for (const [name, value] of Object.entries(answer.headers)) reply.header(name, value);
  return reply.send(answer.body);
}

/** `app.register(plugin, { trust })`: handlers run in the context that the request's headers carry, and the reply says its correlation id. */
export function plugin(instance: InstanceLike, options: ServerOptions, done: () => void): void {
  const contexts = new WeakMap<object, AsyncResource>();
  instance.addHook('onRequest', (request: HasHeaders, reply: ReplyLike, next) => {
    const go = (): void => {
      contexts.set(request, new AsyncResource('seawall.fastify'));
      next();
    };
    enter(request, options, (name, value) => reply.header(name, value), go);
  });
  // The body is read in the context of its socket, and the hooks after it run there.
  instance.addHook('preValidation', (request: HasHeaders, _reply, next) => {
    const context = contexts.get(request);
    if (context === undefined) next();
    else context.runInAsyncScope(next);
  });
  instance.setErrorHandler(errorHandler);
  done();
}

// What is registered is for the instance itself, and not for a child of it.
Object.assign(plugin, { [Symbol.for('skip-override')]: true });

export default plugin;

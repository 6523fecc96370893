/** One attempt of a request through undici, and the one controller that the caller's handler sees over all of them. */

type Fields = Record<string, string | string[] | undefined>;

/** undici's handle on a request under way. */
export interface Controller {
  readonly aborted: boolean;
  readonly paused: boolean;
  readonly reason: Error | null;
  rawHeaders?: unknown;
  rawTrailers?: unknown;
  abort(reason: Error): void;
  pause(): void;
  resume(): void;
}

/** What undici calls as a response arrives. */
export interface Handler {
  onRequestStart?(controller: Controller, context: unknown): void;
  onRequestUpgrade?(controller: Controller, statusCode: number, headers: Fields, socket: unknown): void;
  onResponseStart?(controller: Controller, statusCode: number, headers: Fields, statusMessage?: string): void;
  onResponseData?(controller: Controller, chunk: Buffer): void;
  onResponseEnd?(controller: Controller, trailers: Fields): void;
  onResponseError?(controller: Controller, error: Error): void;
}

/** A response that counts as a failure, on its way through the policy. `retry` reads its Retry-After from `response`. */
export class ResponseError extends Error {
  override readonly name = 'ResponseError';
  readonly status: number;

  constructor(readonly attempt: Attempt) {
    super(`the server answered ${attempt.statusCode}`);
    this.status = attempt.statusCode;
  }

  get response(): Attempt {
    return this.attempt;
  }
}

/** The caller's controller: it lasts for the whole call, steers the attempt that is delivered, and ends the call when it is aborted before. */
export class Steering implements Controller {
  private readonly controller = new AbortController();
  private target: Controller | undefined;
  private isPaused = false;
  private abortedWith: Error | null = null;

  /** Aborts when the caller gives up. */
  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** Steers `target` from now on. It stays paused until `release`. */
  aim(target: Controller | undefined): void {
    this.target = target;
  }

  release(): void {
    if (this.abortedWith !== null) this.target?.abort(this.abortedWith);
    else if (!this.isPaused) this.target?.resume();
  }

  abort(reason: Error): void {
    if (this.abortedWith !== null) return;
    this.abortedWith = reason ?? new DOMException('the request was aborted', 'AbortError');
    this.target?.abort(this.abortedWith);
    this.controller.abort(this.abortedWith);
  }

  pause(): void {
    this.isPaused = true;
    this.target?.pause();
  }

  resume(): void {
    this.isPaused = false;
    this.target?.resume();
  }

  get paused(): boolean {
    return this.isPaused || (this.target?.paused ?? false);
  }

  get aborted(): boolean {
    return this.abortedWith !== null || (this.target?.aborted ?? false);
  }

  get reason(): Error | null {
    return this.abortedWith ?? this.target?.reason ?? null;
  }

  get rawHeaders(): unknown {
    return this.target?.rawHeaders ?? null;
  }

  get rawTrailers(): unknown {
    return this.target?.rawTrailers ?? null;
  }
}

/** One attempt: undici's handler until its response is delivered, and the result that the policy judges. */
export class Attempt implements Handler {
  statusCode = 0;
  headers: Fields = {};
  /** Settles when the headers are there, or nothing will come. */
  readonly answered: Promise<void>;
  private answer!: () => void;
  private refuse!: (error: unknown) => void;
  private controller: Controller | undefined;
  private cutWith: { reason: unknown } | undefined;
  /** What came while the response was held; undefined once it is delivered. */
  private held: Array<() => void> | undefined = [];

  constructor(
    private readonly to: Handler,
    private readonly steering: Steering,
    private readonly context: Record<string, unknown>,
  ) {
    this.answered = new Promise((resolve, reject) => {
      this.answer = resolve;
      this.refuse = reject;
    });
  }

  /** Whether it is a response to this call, and not delivered yet. */
  belongsTo(steering: Steering): boolean {
    return this.steering === steering && this.held !== undefined;
  }

  /** Stops it, or its response. */
  cut(reason: unknown): void {
    this.cutWith = { reason };
    this.refuse(reason);
    this.controller?.abort(reason as Error);
  }

  /** Passes the response on: what came already, and whatever comes. */
  deliver(): void {
    const { held } = this;
    this.held = undefined;
    this.steering.aim(this.controller);
    try {
      for (const event of held ?? []) event();
      this.steering.release();
    } catch (error) {
      // The handler's own fault, which undici answers in the same way.
      this.cut(error);
      this.to.onResponseError?.(this.steering, error as Error);
    }
  }

  private pass(event: () => void): void {
    if (this.cutWith !== undefined) return;
    if (this.held === undefined) event();
    else this.held.push(event);
  }

  onRequestStart(controller: Controller, context: unknown): void {
    this.controller = controller;
    Object.assign(this.context, context);
    if (this.cutWith !== undefined) controller.abort(this.cutWith.reason as Error);
  }

  onRequestUpgrade(controller: Controller, statusCode: number, headers: Fields, socket: unknown): void {
    this.controller = controller;
    this.statusCode = statusCode;
    this.headers = headers;
    this.pass(() => this.to.onRequestUpgrade?.(this.steering, statusCode, headers, socket));
    this.answer();
  }

  onResponseStart(controller: Controller, statusCode: number, headers: Fields, statusMessage?: string): void {
    // Information on the way, of which there may be any number.
    if (statusCode < 200) return this.to.onResponseStart?.(this.steering, statusCode, headers, statusMessage);
    this.statusCode = statusCode;
    this.headers = headers;
    controller.pause();
    this.pass(() => this.to.onResponseStart?.(this.steering, statusCode, headers, statusMessage));
    this.answer();
  }

  onResponseData(_controller: Controller, chunk: Buffer): void {
    this.pass(() => this.to.onResponseData?.(this.steering, chunk));
  }

  onResponseEnd(_controller: Controller, trailers: Fields): void {
    this.pass(() => this.to.onResponseEnd?.(this.steering, trailers));
  }

  onResponseError(_controller: Controller, error: Error): void {
    if (this.statusCode === 0) this.refuse(error);
    else this.pass(() => this.to.onResponseError?.(this.steering, error));
  }
}

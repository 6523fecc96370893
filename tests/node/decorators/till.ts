// Compiled twice by decorators.test.mjs: with TC39 decorators and with legacy ones.
import * as seawall from 'seawall';

const payments = seawall.policy('till', seawall.retry({ maxAttempts: 2, baseDelay: 0 }), seawall.timeout({ attempt: '2s' }));

export class Till {
  private failures = 1;

  constructor(readonly open: number) {}

  @payments
  async charge(amount: number): Promise<string> {
    if (this.failures-- > 0) throw new Error('boom');
    return `${this.open}: ${amount}, attempt ${seawall.current().attempt}`;
  }

  @payments
  static async opened(by: string): Promise<string> {
    return `${this.name} ${by}`;
  }

  async find(id: number): Promise<number>;
  async find(id: string): Promise<string>;
  @payments
  async find(id: number | string): Promise<number | string> {
    return id;
  }

  @seawall.retry({ maxAttempts: 1 })
  @seawall.timeout({ attempt: '1s' })
  async refund(amount: number): Promise<number> {
    return -amount;
  }
}

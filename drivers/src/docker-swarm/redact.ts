/** Keeps a plan's secrets out of errors: what the engine says may quote what it was sent. */
import type { Plan } from '@cloudlet/crds';
import { describeError, DriverError } from '@cloudlet/runtime/base';

export function withoutSecrets(error: unknown, plan: Plan): unknown {
  const secrets = secretsOf(plan);
  const hidden = (text: string): string =>
    secrets.reduce((shown, secret) => shown.replaceAll(secret, '***'), text);
  const text = describeError(error);
  if (hidden(text) === text) return error;
  if (!(error instanceof DriverError)) return new DriverError('DeployFailed', hidden(text));
  const { reason, permanent, retryAfterMs } = error;
  const options = { permanent, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
  return new DriverError(reason, hidden(error.message), options);
}

/** Longest first, so that one that holds another is hidden whole; what is shorter than 4 is no secret. */
function secretsOf(plan: Plan): readonly string[] {
  const auth = Object.values(plan.registryAuth ?? {});
  const values = [
    ...Object.values(plan.secretEnv ?? {}),
    ...(plan.files ?? []).filter(({ secret }) => secret).map(({ content }) => content),
    ...auth,
    ...auth.map((encoded) =>
      Buffer.from(encoded, 'base64').toString('utf8').split(':').slice(1).join(':'),
    ),
  ];
  return values.filter((value) => value.length >= 4).sort((a, b) => b.length - a.length);
}

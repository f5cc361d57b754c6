/** Reads a service's `volumes` in both forms. */
import type { Field, Members } from '../field.ts';
import type { ComposeMount } from '../model.ts';
import { mountKeys } from './keys.ts';
import { size } from './values.ts';

const propagations = ['rprivate', 'private', 'rshared', 'shared', 'rslave', 'slave'];
const types = ['volume', 'bind', 'tmpfs', 'npipe', 'cluster'] as const;
type MountType = (typeof types)[number];

/** Where relative paths start; absent: they are refused. */
export interface PathRules {
  readonly workingDir?: string;
}

export function readMounts(field: Field | undefined, rules: PathRules): readonly ComposeMount[] {
  return (field?.items() ?? []).flatMap((item) => {
    const mount = item.isMap ? readLong(item) : readShort(item);
    if (!mount) return [];
    return [mount.type === 'bind' ? withAbsoluteSource(mount, item, rules) : mount];
  });
}

function readShort(field: Field): ComposeMount | undefined {
  const text = field.text();
  if (text === undefined) return undefined;
  const parts = splitSpec(text);
  if (text === '' || parts.length > 3 || parts.includes(''))
    return field.wrong('must read as "name:/path", "name:/path:ro", "/host/path:/path" or "/path"');
  const [source = '', target = source, flags = ''] = parts;
  const isAnonymous = parts.length === 1;
  const options = flags === '' ? [] : flags.split(',');
  const propagation = options.filter((option) => propagations.includes(option)).at(-1);
  const unknown = options.filter(
    (option) => !['ro', 'rw', 'nocopy', ...propagations].includes(option),
  );
  if (unknown.length > 0) field.warn('has options that a swarm does not know; they are ignored');
  const type = !isAnonymous && isFilePath(source) ? 'bind' : 'volume';
  if (type === 'volume' && propagation)
    return field.wrong(`has ${propagation}, which is for paths of the node`);
  if (type === 'bind' && options.includes('nocopy'))
    return field.wrong('has nocopy, which is for named volumes');
  const access = options.filter((option) => option === 'ro' || option === 'rw').at(-1);
  return {
    path: field.path,
    type,
    source: isAnonymous ? '' : source,
    target,
    readOnly: access === 'ro',
    consistency: '',
    ...(propagation === undefined ? {} : { propagation }),
    ...(options.includes('nocopy') ? { volume: { noCopy: true, subpath: '' } } : {}),
  };
}

/** Splits at colons, but for that of a Windows drive. */
function splitSpec(text: string): readonly string[] {
  if (text.length <= 2) return [text];
  const parts: string[] = [];
  let part = '';
  for (const char of text) {
    if (char !== ':' || /^\p{L}$/u.test(part)) part += char;
    else {
      parts.push(part);
      part = '';
    }
  }
  return [...parts, part];
}

function isFilePath(source: string): boolean {
  return /^[./~]/.test(source) || source.startsWith('\\\\') || /^\p{L}:/u.test(source);
}

function readLong(field: Field): ComposeMount | undefined {
  const members = field.members(mountKeys);
  if (!members) return undefined;
  const type = members.text('type');
  if (!types.some((known) => known === type))
    return field.wrong('needs `type`: one of volume, bind, tmpfs, npipe, cluster');
  const mountType = type as MountType;
  refuseOthers(members, mountType);
  const source = members.text('source') ?? '';
  if (mountType === 'tmpfs' ? source !== '' : source === '' && mountType !== 'volume')
    return field.wrong(`of type ${mountType} ${source ? 'must not have' : 'needs'} \`source\``);
  const target = members.text('target') ?? '';
  if (target === '') field.wrong('needs `target`, the path in the container');
  return {
    path: field.path,
    type: mountType,
    source,
    target,
    readOnly: members.boolean('read_only') ?? false,
    consistency: members.text('consistency') ?? '',
    ...readOptions(members),
  };
}

function refuseOthers(members: Members, type: MountType): void {
  const own: Readonly<Record<MountType, readonly string[]>> = {
    volume: ['volume'],
    bind: ['bind'],
    npipe: ['bind'],
    tmpfs: ['tmpfs'],
    cluster: ['cluster'],
  };
  for (const key of ['bind', 'volume', 'tmpfs', 'cluster'])
    if (!own[type].includes(key)) members.get(key)?.wrong(`does not go with type ${type}`);
}

function readOptions(members: Members) {
  const bind = members.get('bind')?.members({
    known: ['propagation'],
    ignored: {
      create_host_path: 'is ignored: a swarm never makes the path on the node',
      selinux: 'is ignored: a swarm does not relabel',
      recursive: 'is ignored: a swarm mounts what is below, too',
    },
  });
  const volume = members.get('volume')?.members({
    known: ['nocopy', 'subpath'],
    ignored: { labels: 'is ignored: label the volume under the top-level `volumes`' },
  });
  const tmpfs = members.get('tmpfs')?.members({
    known: ['size'],
    ignored: { mode: 'is ignored: `docker stack deploy` does not pass it on' },
  });
  const tmpfsBytes = tmpfs ? (size(tmpfs.get('size')) ?? 0) : undefined;
  return {
    ...(bind ? { propagation: readPropagation(bind) } : {}),
    ...(volume
      ? {
          volume: {
            noCopy: volume.boolean('nocopy') ?? false,
            subpath: volume.text('subpath') ?? '',
          },
        }
      : {}),
    ...(tmpfsBytes === undefined ? {} : { tmpfsBytes }),
  };
}

function readPropagation(bind: Members): string {
  const propagation = bind.text('propagation') ?? '';
  if (propagation !== '' && !propagations.includes(propagation))
    bind.get('propagation')?.wrong(`must be one of ${propagations.join(', ')}`);
  return propagation;
}

function withAbsoluteSource(mount: ComposeMount, field: Field, rules: PathRules): ComposeMount {
  const { source } = mount;
  if (/^(\/|\\\\|[a-zA-Z]:[\\/])/.test(source)) return mount;
  if (rules.workingDir === undefined) {
    field.wrong(
      'is a relative path, which no node has: use an absolute path, a named volume, or a config',
    );
    return mount;
  }
  if (source.startsWith('~')) {
    const home = field.context.variables.lookup('HOME');
    if (home !== undefined) return { ...mount, source: source.replace('~', home) };
  }
  return { ...mount, source: joinPath(rules.workingDir, source) };
}

/** Joins and cleans two paths; `..` at the root stays there. */
export function joinPath(base: string, path: string): string {
  const parts: string[] = [];
  for (const part of `${base}/${path}`.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return `/${parts.join('/')}`;
}

"""Writes the Grafana dashboard as TypeScript that only compiles if it is one.

    dashboard-types.py >FILE.ts

Grafana's own types (@grafana/schema) say what a dashboard, and the options of each
kind of panel, look like. JSON has strings where those have enums, so `Plain` turns
each enum into the strings, or numbers, that it stands for. Beyond the names of fields
and values that finds what `satisfies` finds: keys that are unknown, and missing ones.
"""

import pathlib

ROOT = pathlib.Path(__file__).parent.parent
KINDS = {"stat": "Stat", "table": "Table", "timeseries": "TimeSeries", "state-timeline": "StateTimeline"}

print("import type * as schema from '@grafana/schema';")
for kind, name in KINDS.items():
    folder = kind.replace("-", "")
    path = f"@grafana/schema/dist/esm/raw/composable/{folder}/panelcfg/x/{name}PanelCfg_types.gen"
    print(f"import type * as {folder} from '{path}';")

print("""
type Plain<T> =
  T extends boolean | null | undefined ? T
  : T extends string ? `${T}`
  : T extends number ? (`${T}` extends `${infer N extends number}` ? N : number)
  : T extends readonly (infer E)[] ? Plain<E>[]
  : T extends object ? { [K in keyof T]: Plain<T[K]> }
  : T;

// What Prometheus' data source reads of a query; the package has no type for it.
interface Query extends schema.DataQuery {
  expr: string; legendFormat?: string; format: 'time_series' | 'table';
  instant: boolean; range: boolean; editorMode: 'code';
}
interface Field<Custom> extends Omit<schema.FieldConfig, 'custom'> { custom?: Partial<Custom> }
interface View<Kind, Options, Custom> extends Omit<schema.Panel, 'type' | 'options' | 'fieldConfig' | 'targets'> {
  type: Kind; id: number; title: string; description: string; gridPos: schema.GridPos;
  options: Options; targets: Query[];
  fieldConfig: { defaults: Field<Custom>; overrides: { matcher: schema.MatcherConfig; properties: { id: string; value?: unknown }[] }[] };
}
type Panel =
  | View<'stat', stat.Options, Record<string, never>>
  | View<'table', table.Options, table.FieldConfig>
  | View<'timeseries', timeseries.Options, timeseries.FieldConfig>
  | View<'state-timeline', statetimeline.Options, statetimeline.FieldConfig>
  | schema.RowPanel;
// Older Grafanas read an annotation's query here, and newer ones take it over.
interface Note extends schema.AnnotationQuery<schema.DataQuery & { expr: string; interval: string }> {
  expr: string; step: string; titleFormat: string; textFormat: string; tagKeys: string; useValueForTime: boolean;
}
interface Variable extends schema.VariableModel { definition?: string }
interface Dashboard extends Omit<schema.Dashboard, 'panels' | 'annotations' | 'templating'> {
  panels: Panel[]; annotations: { list: Note[] }; templating: { list: Variable[] };
}
""")
dashboard = (ROOT / "deploy/grafana/dashboards/postwatch.json").read_text(encoding="utf-8")
print(f"({dashboard.strip()}) satisfies Plain<Dashboard>;")

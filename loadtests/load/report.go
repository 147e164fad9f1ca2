package load

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-analyze/charts"
)

//go:embed report.html
var reportText string

// reportPage is parsed when it is needed: most who link this package never write a report.
var reportPage = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("report").Funcs(template.FuncMap{
		"micros": micros, "count": grouped, "rate": func(v float64) string { return grouped(uint64(v)) },
		"mega":  func(n int64) string { return fmt.Sprintf("%.1f MB", mega(n)) },
		"kilo":  func(v float64) string { return fmt.Sprintf("%.2f KB", v/1024) },
		"fixed": func(digits int, v float64) string { return strconv.FormatFloat(v, 'f', digits, 64) },
		"times": func(a, b float64) string {
			if a <= 0 || b <= 0 {
				return ""
			}
			return fmt.Sprintf("×%.2f", a/b)
		},
		"color": func(i int) string { return seriesColors[i%len(seriesColors)] },
	}).Parse(reportText))
})

// seriesColors tell the peers apart, also for those who do not see all colours.
var seriesColors = []string{"#0b6e4f", "#d1495b", "#2e6fba", "#edae49", "#7b4b94", "#4f5d75", "#00a6a6", "#8c5e3c"}

// report is what the page shows.
type report struct {
	Title, Pace, Over string
	Plan              Plan
	Unit, Units       string
	Began             string
	Results           []Result
	First             Result
	Idle              bool
	Faulty            bool
	Charts            []chart
	JSON              string
}

type chart struct {
	Title, Note string
	SVG         template.HTML
}

// WriteHTML writes a report of results that were made with one plan: a page without scripts that needs nothing but itself.
func WriteHTML(w io.Writer, results []Result) error {
	if len(results) == 0 {
		return fmt.Errorf("a report of no results")
	}
	raw, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return err
	}
	p := results[0].Plan
	r := report{
		Plan: p, Pace: p.pace(), Over: p.Transport, Unit: p.unit(), Units: plural[p.unit()], Results: results, First: results[0],
		Idle: p.Mode == Idle, Began: results[0].Began.UTC().Format(time.DateTime), JSON: string(raw), Title: p.title(),
	}
	if p.Deflate {
		r.Over += " with permessage-deflate"
	}
	for _, res := range results {
		r.Faulty = r.Faulty || res.Faults.Any()
	}
	if r.Charts, err = drawAll(results); err != nil {
		return err
	}
	return reportPage().Execute(w, r)
}

func (p Plan) title() string {
	switch {
	case p.Mode == Fanout && p.Rooms > 1:
		return fmt.Sprintf("Fan-out to %d clients in %d rooms", p.Clients, p.Rooms)
	case p.Mode == Fanout:
		return fmt.Sprintf("Fan-out to %d clients", p.Clients)
	case p.Mode == Echo:
		return fmt.Sprintf("Echo of %d clients", p.Clients)
	case p.Mode == Connect:
		return fmt.Sprintf("%d clients that come and go", p.Clients)
	}
	return fmt.Sprintf("%d idle sessions", p.Clients)
}

// drawAll draws the charts for which there are figures.
func drawAll(results []Result) ([]chart, error) {
	unit := plural[results[0].Plan.unit()]
	var all []chart
	add := func(title, note string, svg string, err error) error {
		if svg != "" {
			all = append(all, chart{title, note, template.HTML(svg)}) // drawn by us
		}
		return err
	}
	if unit != "" {
		svg, err := drawLatency(results)
		if err := add("Latency", "By percentile, on a logarithmic scale. Lower is better.", svg, err); err != nil {
			return nil, err
		}
		svg, err = drawSeries(results, func(s Sample) float64 { return s.PerSecond }, axisCount)
		if err := add(unit+" a second", "", svg, err); err != nil {
			return nil, err
		}
	}
	svg, err := drawSeries(results, func(s Sample) float64 { return s.ServerPercent }, axisPercent)
	if err := add("server CPU", "Of one core.", svg, err); err != nil {
		return nil, err
	}
	svg, err = drawSeries(results, func(s Sample) float64 { return float64(s.ServerRSS) / (1 << 20) }, axisMega)
	if err := add("server memory", "Resident.", svg, err); err != nil {
		return nil, err
	}
	svg, err = drawSeries(results, func(s Sample) float64 { return s.OwnPercent }, axisPercent)
	return all, add("generator CPU", "It shares the machine with the server.", svg, err)
}

func axisCount(v float64) string {
	switch {
	case v >= 1e6:
		return strconv.FormatFloat(v/1e6, 'f', -1, 64) + " M"
	case v >= 1e3:
		return strconv.FormatFloat(v/1e3, 'f', -1, 64) + " k"
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

func axisPercent(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) + " %" }
func axisMega(v float64) string    { return strconv.FormatFloat(v, 'f', -1, 64) + " MB" }

// drawSeries draws a figure over time; nothing when it is always zero.
func drawSeries(results []Result, value func(Sample) float64, format func(float64) string) (string, error) {
	longest, known := 0, false
	for _, r := range results {
		longest = max(longest, len(r.Series))
	}
	lines := make([][]float64, len(results))
	for i, r := range results {
		for _, s := range r.Series {
			v := value(s)
			known = known || v > 0
			lines[i] = append(lines[i], v)
		}
		for len(lines[i]) < longest {
			lines[i] = append(lines[i], charts.GetNullValue())
		}
	}
	if !known {
		return "", nil
	}
	labels := make([]string, longest)
	for i := range labels {
		labels[i] = strconv.Itoa(i+1) + " s"
	}
	return draw(lines, labels, charts.ValueAxisOption{Min: charts.Ptr(0.0), ValueFormatter: format})
}

// drawLatency draws the distributions, by decades of a microsecond.
func drawLatency(results []Result) (string, error) {
	lines := make([][]float64, len(results))
	low, high := math.Inf(1), math.Inf(-1)
	for i, r := range results {
		for _, q := range r.Latency.Distribution {
			v := math.Log10(float64(max(q.Micros, 1)))
			low, high = min(low, v), max(high, v)
			lines[i] = append(lines[i], v)
		}
		for len(lines[i]) < len(percents) {
			lines[i] = append(lines[i], charts.GetNullValue())
		}
	}
	if low > high {
		return "", nil
	}
	low, high = math.Floor(low), max(math.Ceil(high), math.Floor(low)+1)
	labels := make([]string, len(percents))
	for i, p := range percents {
		labels[i] = strconv.FormatFloat(p, 'f', -1, 64)
	}
	return draw(lines, labels, charts.ValueAxisOption{
		Min: charts.Ptr(low), Max: charts.Ptr(high), LabelCount: int(high-low) + 1, RangeValuePaddingScale: charts.Ptr(0.0),
		ValueFormatter: func(v float64) string {
			us := math.Pow(10, v)
			switch {
			case us >= 1e6:
				return fmt.Sprintf("%.4g s", us/1e6)
			case us >= 1e3:
				return fmt.Sprintf("%.4g ms", us/1e3)
			}
			return fmt.Sprintf("%.4g µs", us)
		},
	})
}

// draw makes an SVG, which takes its size from where it stands.
func draw(lines [][]float64, labels []string, y charts.ValueAxisOption) (string, error) {
	colors := make([]charts.Color, len(seriesColors))
	for i, c := range seriesColors {
		colors[i] = charts.ColorFromHex(c)
	}
	o := charts.NewLineChartOptionWithData(lines)
	o.Theme = charts.GetTheme(charts.ThemeLight).WithSeriesColors(colors).WithTextColor(charts.ColorFromHex("#56606b")).
		WithAxisSplitLineColor(charts.ColorFromHex("#e6e9ec")).WithBackgroundColor(charts.ColorFromHex("#ffffff"))
	o.Legend.Show = charts.Ptr(false) // the table above is the legend
	o.LineStrokeWidth = 2.5
	o.XAxis.Labels = labels
	o.XAxis.BoundaryGap = charts.Ptr(false)
	if len(labels) <= len(percents) {
		o.XAxis.LabelCount = len(labels) // there is room for all of them
	}
	o.XAxis.LabelFontStyle = charts.NewFontStyleWithSize(11)
	y.LabelFontStyle = charts.NewFontStyleWithSize(11)
	o.YAxis = []charts.YAxisOption{y}
	o.Padding = charts.NewBox(8, 14, 26, 6)
	p := charts.NewPainter(charts.PainterOptions{OutputFormat: charts.ChartOutputSVG, Width: 560, Height: 280})
	if err := p.LineChart(o); err != nil {
		return "", fmt.Errorf("drawing a chart: %w", err)
	}
	svg, err := p.Bytes()
	return string(svg), err
}

// grouped is a number with its thousands apart.
func grouped(n uint64) string {
	text := strconv.FormatUint(n, 10)
	var b strings.Builder
	for i, c := range text {
		if i > 0 && (len(text)-i)%3 == 0 {
			b.WriteString("\u202f")
		}
		b.WriteRune(c)
	}
	return b.String()
}

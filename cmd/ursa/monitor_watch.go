package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/lockgate/monitor"
)

func monitorWatchCommand() *cobra.Command {
	var o monitorOptions
	var every time.Duration
	var metrics string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Follow a gate: read what is new at intervals, and tell each finding as it appears",
		Long: "Verifies everything once, or what is new since --kept, then what is new, at intervals. Each finding is one line on standard output, once. Trouble in reading is\n" +
			"told on standard error and tried again.\n\nEnds with Ctrl-C or SIGTERM. Exit status 0: nothing was found. 3: something was.",
		Example: "  ursa monitor watch --gate gate --state monitor.json --metrics 127.0.0.1:9543\n" +
			"  ursa monitor watch --gate https://gate.example.net:8443 --ledger-key ledger.json --state monitor.json --every 10s --json",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if every < 100*time.Millisecond || every > 24*time.Hour {
				return usagef("--every %s: use 100ms to 24h", every)
			}
			w, err := o.startAll(cmd)
			if err != nil {
				return err
			}
			defer w.close()
			m := newMonitorMetrics()
			if metrics != "" {
				l, err := listenTCP("--metrics", metrics)
				if err != nil {
					return err
				}
				mux := http.NewServeMux()
				mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
				defer serveHTTP(l, mux)()
			}
			return w.watch(cmd, every, m, asJSON)
		},
	}
	o.register(cmd)
	f := cmd.Flags()
	f.DurationVar(&every, "every", 30*time.Second, "how often what is new is read")
	f.StringVar(&metrics, "metrics", "", "TCP `ADDRESS` for Prometheus (/metrics); empty: none")
	f.BoolVar(&asJSON, "json", false, "one JSON object a line for each finding")
	return cmd
}

// watch goes on until the command's context ends.
func (w *watchers) watch(cmd *cobra.Command, every time.Duration, m *monitorMetrics, asJSON bool) error {
	told := map[string]bool{}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	trouble := ""
	for {
		r, err := w.round(cmd.Context())
		if cmd.Context().Err() != nil {
			return foundAny(told)
		}
		line := ""
		if err != nil {
			line = oneLine(err.Error())
		}
		if line != "" && line != trouble {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s cannot read: %s\n", utc(time.Now().UnixNano()), line)
		}
		trouble = line
		if r != nil {
			m.tell(*r)
			if err := tellNew(cmd, *r, told, asJSON); err != nil {
				return err
			}
		}
		if err != nil {
			m.failed()
		}
		select {
		case <-cmd.Context().Done():
			return foundAny(told)
		case <-ticker.C:
		}
	}
}

func foundAny(told map[string]bool) error {
	if len(told) == 0 {
		return nil
	}
	return deniedError{fmt.Sprintf("%d findings in all", len(told))}
}

// tellNew prints what was not told before.
func tellNew(cmd *cobra.Command, r monitor.Report, told map[string]bool, asJSON bool) error {
	for _, f := range r.Findings {
		if told[f.Key()] {
			continue
		}
		told[f.Key()] = true
		now := time.Now().UTC()
		if asJSON {
			line, err := json.Marshal(struct {
				At time.Time `json:"at"`
				monitor.Finding
			}{now, f})
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n", line); err != nil {
				return err
			}
			continue
		}
		if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s FOUND %s\n", now.Format(time.RFC3339), f); err != nil {
			return err
		}
	}
	return nil
}

// monitorMetrics are the sums of a report as gauges. Labels name tenants and jurisdictions, so they belong on an address of the
// auditor's own; no label names a core.
type monitorMetrics struct {
	registry                                   *prometheus.Registry
	findings, jurisdictions, tenants           *prometheus.GaugeVec
	leaves, grants, units, unopened, up, since prometheus.Gauge
}

func newMonitorMetrics() *monitorMetrics {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: "ursa_monitor_" + name, Help: help})
	}
	vec := func(name, help, label string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "ursa_monitor_" + name, Help: help}, []string{label})
	}
	m := &monitorMetrics{registry: prometheus.NewRegistry(),
		findings:      vec("findings", "Findings so far, by kind.", "kind"),
		jurisdictions: vec("jurisdiction_units", "Units released, by what the proven region touches.", "touches"),
		tenants:       vec("tenant_units", "Units released, by tenant.", "tenant"),
		leaves:        gauge("leaves", "Leaves of the ledger that were verified."),
		grants:        gauge("grants", "Releases in the ledger."),
		units:         gauge("units", "Units released, by the ledger."),
		unopened:      gauge("unopened_grants", "Releases whose evidence nobody opened."),
		up:            gauge("up", "1 when the last round could read the ledger."),
		since:         gauge("last_read_timestamp_seconds", "When the ledger was last read, Unix time.")}
	m.registry.MustRegister(m.findings, m.jurisdictions, m.tenants, m.leaves, m.grants, m.units, m.unopened, m.up, m.since)
	for _, k := range monitor.Kinds {
		m.findings.WithLabelValues(string(k)).Set(0)
	}
	return m
}

func (m *monitorMetrics) failed() { m.up.Set(0) }

func (m *monitorMetrics) tell(r monitor.Report) {
	count := map[monitor.Kind]int{}
	for _, f := range r.Findings {
		count[f.Kind]++
	}
	for _, k := range monitor.Kinds {
		m.findings.WithLabelValues(string(k)).Set(float64(count[k]))
	}
	for name, s := range r.Jurisdictions {
		m.jurisdictions.WithLabelValues(name).Set(float64(s.Units))
	}
	for name, s := range r.Tenants {
		m.tenants.WithLabelValues(name).Set(float64(s.Units))
	}
	m.leaves.Set(float64(r.Leaves))
	m.grants.Set(float64(r.Grants))
	m.units.Set(float64(r.Units))
	m.unopened.Set(float64(r.Unopened))
	m.up.Set(1)
	m.since.SetToCurrentTime()
}

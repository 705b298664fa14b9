package server

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/ursa-virtual/ursa/lockgate/grant"
	"github.com/ursa-virtual/ursa/lockgate/server/api"
)

// Metrics count what a gate does. A nil *Metrics counts nothing. No label names
// a core or a place.
type Metrics struct {
	registry  *prometheus.Registry
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	decisions *prometheus.CounterVec
	units     prometheus.Counter
}

// NewMetrics makes a registry of its own.
func NewMetrics() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ursa_gate_requests_total",
			Help: "Requests by path and HTTP status."}, []string{"path", "status"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "ursa_gate_request_seconds",
			Help: "Time from a request's arrival to its answer.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 14)}, []string{"path"}),
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ursa_gate_decisions_total",
			Help: "Decisions on lease requests, by the check that refused (granted and repeated are not refusals)."}, []string{"by"}),
		units: prometheus.NewCounter(prometheus.CounterOpts{Name: "ursa_gate_units_total", Help: "Units of compute released."}),
	}
	m.registry.MustRegister(m.requests, m.durations, m.decisions, m.units)
	return m
}

// Handler shows the metrics. It belongs on an address of the operator's own.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

func (m *Metrics) request(path string, status int, took time.Duration) {
	if m == nil {
		return
	}
	switch path {
	case api.PathChallenge, api.PathLease, api.PathKey, api.PathBurn, api.PathToken:
	default:
		path = "other"
	}
	m.requests.WithLabelValues(path, strconv.Itoa(status)).Inc()
	m.durations.WithLabelValues(path).Observe(took.Seconds())
}

func (m *Metrics) decision(d grant.Decision) {
	switch {
	case m == nil:
	case d.Repeated:
		m.decisions.WithLabelValues("repeated").Inc()
	case d.Granted:
		m.decisions.WithLabelValues("granted").Inc()
		m.units.Add(float64(d.Finding.Units))
	default:
		m.decisions.WithLabelValues(d.RefusedBy).Inc()
	}
}

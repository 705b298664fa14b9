package server

import (
	"github.com/prometheus/client_golang/prometheus"
)

// Metrics returns the beacon's counts for a Prometheus registry. There is no round trip among them: together with the beacon's
// position it would say where a core is.
func (s *Server) Metrics() prometheus.Collector { return collector{s} }

type collector struct{ s *Server }

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("ursa_beacon_"+name, help, labels, nil)
}

var (
	descStatements    = describe("statements_total", "Exchanges that ended with a signed statement.")
	descCountersigned = describe("countersigned_total", "Statements whose countersignature came back.")
	descRefused       = describe("refusals_total", "Exchanges and handshakes that were refused or failed, by reason.", "reason")
	descInProgress    = describe("exchanges_in_progress", "Exchanges in progress.")
	descHandshakes    = describe("handshakes_unfinished", "QUIC handshakes that have neither succeeded nor failed.")
	descPackets       = describe("round_packets_total", "Round packets received, by what became of them.", "outcome")
	descEpoch         = describe("directory_epoch", "Epoch of the directory in force.")
	descExpires       = describe("directory_expires_seconds", "When the directory in force expires, in seconds since 1970.")
)

// Describe implements prometheus.Collector.
func (collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descStatements, descCountersigned, descRefused, descInProgress, descHandshakes, descPackets,
		descEpoch, descExpires} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	st := c.s.Stats()
	send := func(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, t, v, labels...)
	}
	send(descStatements, prometheus.CounterValue, float64(st.Statements))
	send(descCountersigned, prometheus.CounterValue, float64(st.Countersigned))
	for reason, n := range st.RefusedReasons {
		send(descRefused, prometheus.CounterValue, float64(n), reason)
	}
	send(descInProgress, prometheus.GaugeValue, float64(st.InProgress))
	send(descHandshakes, prometheus.GaugeValue, float64(st.Handshakes))
	for outcome, n := range map[string]uint64{
		"delivered": st.Packets.Delivered, "malformed": st.Packets.Malformed, "unknown": st.Packets.Unknown, "address": st.Packets.Address,
	} {
		send(descPackets, prometheus.CounterValue, float64(n), outcome)
	}
	d := c.s.seat.Load().directory
	send(descEpoch, prometheus.GaugeValue, float64(d.Epoch))
	send(descExpires, prometheus.GaugeValue, float64(d.ExpiresUnixNS)/1e9)
}

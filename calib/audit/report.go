package audit

import (
	"encoding/json"
	"fmt"

	"github.com/ursa-virtual/ursa/topology/earth"
)

// Report is what an audit found. Its JSON is the contract of `ursa calib audit --json`.
type Report struct {
	Data      string    `json:"data"`
	Nodes     int       `json:"nodes"`
	Pairs     int       `json:"pairs"` // unordered, measured in at least one direction
	Convicted []Accused `json:"convicted"`
	Suspected []Accused `json:"suspected"`

	// Under which assumption a conviction holds.
	Class        earth.SpeedClass `json:"-"`
	Speed        string           `json:"speed"`        // the class's name
	ClaimUncKM   float64          `json:"claim_unc_km"` // how far an honest node may stand from its claim
	MaxLiars     int              `json:"f"`
	Given        bool             `json:"f_given"`        // false: f is the smallest number of liars that explains the data
	Refuted      bool             `json:"f_refuted"`      // the given f is smaller than any explanation; nobody is convicted then
	Framed       bool             `json:"framed"`         // the smallest explanation looks arranged: f is half of all nodes instead
	CoverAtLeast int              `json:"cover_at_least"` // bounds of the smallest explanation; equal when the search was exact
	CoverAtMost  int              `json:"cover_at_most"`
	Conflicts    int              `json:"conflicts"` // contradicting pairs beyond the claims' uncertainty

	// Refused are the pairs that still contradict once the convicted are gone, at no tolerance: whoever reckons a proof on this set
	// must leave them out, for at least one end or the measurement is wrong and the audit cannot say which.
	Refused []Refusal `json:"refused"`
	// Labels are nodes whose country label and coordinates name different countries.
	Labels []LabelConflict `json:"label_conflicts"`
}

// Accused is a node that is convicted or suspected.
type Accused struct {
	Index     int     `json:"-"` // in the set
	ID        string  `json:"id"`
	Name      string  `json:"name"`
	Claims    string  `json:"claims"` // ISO 3166-1 alpha-2
	Likely    string  `json:"likely"` // the same of the likely place; empty when unknown
	LikelyLat float64 `json:"likely_lat"`
	LikelyLon float64 `json:"likely_lon"`
	Near      string  `json:"likely_near"` // the node at whose place it most likely stands
	OffByKM   float64 `json:"off_by_km"`   // between the claimed and the likely place
	PosUncKM  float64 `json:"pos_unc_km"`  // the uncertainty of its claim that would remove every contradiction
	// FalseAlarmRate is the share of the unaccused nodes of this set whose residuals speak at least as strongly for a place as far
	// away as this one's do for the likely place; 1 when there is nothing to compare.
	FalseAlarmRate float64 `json:"false_alarm_rate"`
	// Margin is how many more liars an explanation needs that leaves this node honest, at least; 0 for a tie.
	Margin         int        `json:"margin"`
	Contradictions int        `json:"contradictions"` // with how many peers, beyond the claims' uncertainty
	Nats           float64    `json:"residual_nats"`  // how much better third parties' round trips fit the likely place
	Kind           Kind       `json:"kind"`
	Also           string     `json:"also_near,omitempty"` // the other place of a node that answers from two
	Grounds        string     `json:"grounds"`
	Evidence       []Evidence `json:"evidence"` // the strongest first, at most maxEvidence
}

// Evidence is one round trip that the claims contradict.
type Evidence struct {
	Peer       string  `json:"peer"`
	RTTMS      float64 `json:"rtt_ms"`
	LightMS    float64 `json:"light_ms"` // the least that a signal of `class` needs for the round trip between the claims
	DistanceKM float64 `json:"distance_km"`
	Class      string  `json:"class"` // vacuum where even that is contradicted
}

// Refusal is a pair that no proof may use.
type Refusal struct {
	I, J     int     `json:"-"` // in the set, I < J
	A        string  `json:"a"`
	B        string  `json:"b"`
	RTTMS    float64 `json:"rtt_ms"`
	ExcessKM float64 `json:"excess_km"` // by how much the claimed distance exceeds the class's reach
	Class    string  `json:"class"`     // the weakest class that it contradicts: vacuum, else fibre
	Reason   string  `json:"reason"`
}

// LabelConflict is a node whose label and coordinates disagree about the country.
type LabelConflict struct {
	Index       int      `json:"-"`
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	Label       string   `json:"label"`
	At          []string `json:"coordinates_in"`         // countries within the claim's uncertainty of the coordinates
	SwappedWith string   `json:"swapped_with,omitempty"` // a node whose label and coordinates disagree the other way round
}

// ConvictedIDs returns the ids of the convicted, in the report's order.
func (r Report) ConvictedIDs() []string {
	ids := make([]string, 0, len(r.Convicted))
	for _, a := range r.Convicted {
		ids = append(ids, a.ID)
	}
	return ids
}

// Refuses says whether the pair of these indices is one that no proof at this class may use.
func (r Report) Refuses(i, j int, class earth.SpeedClass) bool {
	if i > j {
		i, j = j, i
	}
	for _, p := range r.Refused {
		if p.I == i && p.J == j {
			return class != earth.Vacuum || p.Class == earth.Vacuum.String()
		}
	}
	return false
}

// MarshalJSON prints lists as lists: an empty one is [] and not null.
func (r Report) MarshalJSON() ([]byte, error) {
	type plain Report
	p := plain(r)
	p.Convicted, p.Suspected = listed(p.Convicted), listed(p.Suspected)
	p.Refused, p.Labels = listed(p.Refused), listed(p.Labels)
	return json.Marshal(p)
}

func listed[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// String says in one line what was found.
func (r Report) String() string {
	return fmt.Sprintf("%s: %d of %d nodes convicted, %d suspected at %s (f = %d)", r.Data, len(r.Convicted), r.Nodes, len(r.Suspected), r.Speed, r.MaxLiars)
}

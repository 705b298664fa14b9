package policy

import (
	"fmt"
	"strings"
	"time"
)

// Hours are a stretch of time that comes back every week, in UTC: on each of
// the days from a minute of the day on, up to another that is excluded.
type Hours struct {
	Days uint64 `cbor:"1,keyasint"` // bit 0 is Monday, bit 6 Sunday
	From uint64 `cbor:"2,keyasint"` // minute of the day, 0 to 1439
	To   uint64 `cbor:"3,keyasint"` // minute of the day, above From, at most 1440
}

// DayNames are the days as they are written, from bit 0 on.
var DayNames = [week]string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}

// Limits of hours.
const (
	week     = 7
	everyDay = 1<<week - 1
	dayMin   = 24 * 60
	maxHours = 64
	dayNS    = 24 * int64(time.Hour)
	thursday = 3 // the first of January 1970
	minuteNS = int64(time.Minute)
)

func (h Hours) valid() bool {
	return h.Days != 0 && h.Days <= everyDay && h.From < h.To && h.To <= dayMin
}

// String writes the hours as they are written in a file, such as
// "mon-fri 08:00-18:00".
func (h Hours) String() string {
	var days []string
	for i := 0; i < week; i++ {
		if h.Days>>i&1 == 0 {
			continue
		}
		last := i
		for last < week-1 && h.Days>>(last+1)&1 == 1 {
			last++
		}
		switch {
		case last > i+1:
			days = append(days, DayNames[i]+"-"+DayNames[last])
			i = last
		default:
			days = append(days, DayNames[i])
		}
	}
	return fmt.Sprintf("%s %s-%s", strings.Join(days, ","), clock(h.From), clock(h.To))
}

func clock(minute uint64) string { return fmt.Sprintf("%02d:%02d", minute/60, minute%60) }

// day splits an instant into the day of the week and the nanosecond of the day.
func day(unixNS int64) (weekday int, ns int64) {
	days := unixNS / dayNS
	if ns = unixNS % dayNS; ns < 0 {
		ns, days = ns+dayNS, days-1
	}
	return int(((days+thursday)%week + week) % week), ns
}

// holds says whether an instant lies in the hours, and when they end then.
func (h Hours) holds(unixNS int64) (endUnixNS int64, ok bool) {
	weekday, ns := day(unixNS)
	if h.Days>>weekday&1 == 0 || ns < int64(h.From)*minuteNS || ns >= int64(h.To)*minuteNS {
		return 0, false
	}
	return unixNS - ns + int64(h.To)*minuteNS, true
}

// within says whether an instant lies in any of the hours, and until when; with
// no hours at all, always.
func within(list []Hours, unixNS int64) (endUnixNS int64, ok bool) {
	for _, h := range list {
		if end, in := h.holds(unixNS); in {
			endUnixNS, ok = max(endUnixNS, end), true
		}
	}
	return endUnixNS, ok
}

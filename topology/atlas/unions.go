package atlas

import (
	"sort"
	"strings"
)

// Union is a named list of countries.
type Union struct {
	Name    string   `json:"name"`
	Title   string   `json:"title"`
	Members []string `json:"members"` // ISO 3166-1 alpha-2, sorted
}

func union(name, title, members string) Union {
	list := strings.Fields(members)
	sort.Strings(list)
	return Union{name, title, list}
}

// unions are written out from the treaties' own lists of members, as of November 2026. A country's overseas parts have codes of
// their own and belong to a union only where they are listed: EU27 is the member states without their outermost regions, which
// EUOMR lists.
var unions = []Union{
	union("EU27", "European Union, the 27 member states", "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK"),
	union("EUOMR", "outermost regions of the European Union with codes of their own (TFEU, article 349)", "GF GP MF MQ RE YT"),
	union("EEA", "European Economic Area: EU27 with Iceland, Liechtenstein and Norway", "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IS IT LI LT LU LV MT NL NO PL PT RO SE SI SK"),
	union("EFTA", "European Free Trade Association", "CH IS LI NO"),
	union("SCHENGEN", "Schengen area", "AT BE BG CH CZ DE DK EE ES FI FR GR HR HU IS IT LI LT LU LV MT NL NO PL PT RO SE SI SK"),
	union("EUROZONE", "states whose currency is the euro", "AT BE BG CY DE EE ES FI FR GR HR IE IT LT LU LV MT NL PT SI SK"),
	union("NORDICS", "Nordic countries with Åland, the Faroes, Greenland and Svalbard", "AX DK FI FO GL IS NO SE SJ"),
	union("BENELUX", "Benelux Union", "BE LU NL"),
	union("COE", "Council of Europe", "AD AL AM AT AZ BA BE BG CH CY CZ DE DK EE ES FI FR GB GE GR HR HU IE IS IT LI LT LU LV MC MD ME MK MT NL NO PL PT RO RS SE SI SK SM TR UA"),
	union("NATO", "North Atlantic Treaty Organization", "AL BE BG CA CZ DE DK EE ES FI FR GB GR HR HU IS IT LT LU LV ME MK NL NO PL PT RO SE SI SK TR US"),
	union("FIVEEYES", "UKUSA agreement", "AU CA GB NZ US"),
	union("AUKUS", "Australia, United Kingdom, United States", "AU GB US"),
	union("ANZUS", "ANZUS treaty", "AU NZ US"),
	union("QUAD", "Quadrilateral Security Dialogue", "AU IN JP US"),
	union("G7", "Group of Seven, the states", "CA DE FR GB IT JP US"),
	union("G20", "Group of Twenty, the states", "AR AU BR CA CN DE FR GB ID IN IT JP KR MX RU SA TR US ZA"),
	union("OECD", "Organisation for Economic Co-operation and Development", "AT AU BE CA CH CL CO CR CZ DE DK EE ES FI FR GB GR HU IE IL IS IT JP KR LT LU LV MX NL NO NZ PL PT SE SI SK TR US"),
	union("USMCA", "Agreement between the United States, Mexico and Canada", "CA MX US"),
	union("MERCOSUR", "Southern Common Market, full members", "AR BO BR PY UY"),
	union("ASEAN", "Association of Southeast Asian Nations", "BN ID KH LA MM MY PH SG TH TL VN"),
	union("GCC", "Gulf Cooperation Council", "AE BH KW OM QA SA"),
	union("BRICS", "BRICS", "AE BR CN EG ET ID IN IR RU ZA"),
	union("CSTO", "Collective Security Treaty Organization", "AM BY KG KZ RU TJ"),
	union("EAEU", "Eurasian Economic Union", "AM BY KG KZ RU"),
	union("SCO", "Shanghai Cooperation Organisation", "BY CN IN IR KG KZ PK RU TJ UZ"),
	union("AFRICANUNION", "African Union", "AO BF BI BJ BW CD CF CG CI CM CV DJ DZ EG EH ER ET GA GH GM GN GQ GW KE KM LR LS LY MA MG ML MR MU MW MZ NA NE NG RW SC SD SL SN SO SS ST SZ TD TG TN TZ UG ZA ZM ZW"),
}

// unionNamed returns the union of a name, in upper case.
func unionNamed(name string) (Union, bool) {
	for _, u := range unions {
		if u.Name == name {
			return u, true
		}
	}
	return Union{}, false
}

// Unions returns the named unions, in the order of the table.
func Unions() []Union {
	out := make([]Union, len(unions))
	for i, u := range unions {
		u.Members = append([]string(nil), u.Members...)
		out[i] = u
	}
	return out
}

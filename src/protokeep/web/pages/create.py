"""Creating a prototype: the form, its results, and the retry of a failed one."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from protokeep.core.errors import InvalidInput, KeyInFlight, KeyReused, NotReady, QuotaReached
from protokeep.core.reuse import Outcome
from protokeep.core.validation import PRODUCT_ID_MAX
from protokeep.service import Ensured, NewPrototype
from protokeep.web.dependencies import application_of
from protokeep.web.pages import formatting
from protokeep.web.pages.detail import detail_values
from protokeep.web.pages.finding import offered_products
from protokeep.web.pages.forms import LIMITS, Form, blank_form, new_key
from protokeep.web.pages.gallery import newest_event_id
from protokeep.web.pages.own_words import in_own_words
from protokeep.web.pages.render import page
from protokeep.web.pages.session import FormFieldsDep, MakerDep, Visitor, is_on
from protokeep.web.pages.similar import Existing, existing_for
from protokeep.wiring import PROVIDERS

router = APIRouter()


@router.get("/new")
async def new(request: Request, visitor: MakerDep, product: str = "", another: str = "", like: str = "") -> Response:
    """The form. `like` is the id of a prototype whose values it begins with."""
    application = application_of(request)
    form = replace(blank_form(), product_id=product[:PRODUCT_ID_MAX], another=is_on(another))
    if like:
        template = await application.keeper.get(visitor.principal, like)
        form = replace(form, product_id=template.product_id, prompt=template.prompt or "", provider=template.provider)
    return await _form_page(request, visitor, form)


@router.post("/new")
async def create(request: Request, visitor: MakerDep, fields: FormFieldsDep) -> Response:
    """Create the product's prototype, or show the existing one with the offer to make another."""
    application = application_of(request)
    form = Form(
        product_id=fields.get("product_id", ""),
        product_name=fields.get("product_name", "").strip(),
        prompt=fields.get("prompt", ""),
        provider=fields.get("provider", "v0"),
        another=is_on(fields.get("another")),
        different=fields.get("different", ""),
        key=fields.get("key", ""),
    )
    form = form.with_faults(await application.keeper.context.store.owner_table())
    if form.faults:
        return await _form_page(request, visitor, form, 422)
    if not form.another and form.different != form.product_id.strip():
        existing = await existing_for(request, visitor, form)
        if existing.is_unclear:
            return await _form_page(request, visitor, form, 409, existing)
    try:
        ensured = await application.keeper.ensure(visitor.principal, form.new_prototype, wait=0.0)
    except KeyReused:
        trouble = "You sent this form before with other words. Send it again if you want this prototype too."
        return await _form_page(request, visitor, replace(form, key=new_key(), trouble=trouble), 409)
    except InvalidInput as error:
        return await _form_page(request, visitor, form.with_fault(error.field, str(error)), 422)
    except QuotaReached as error:
        return await _form_page(request, visitor, replace(form, trouble=in_own_words(str(error))), 429)
    except (NotReady, KeyInFlight) as error:
        return await _form_page(request, visitor, replace(form, trouble=in_own_words(str(error))), 503)
    if ensured.decision.outcome is Outcome.REUSED:
        return await _reused_page(request, visitor, form, ensured)
    return RedirectResponse(f"/prototypes/{ensured.prototype.id}", 303)


@router.post("/prototypes/{prototype_id}/retry")
async def retry(request: Request, visitor: MakerDep, fields: FormFieldsDep, prototype_id: str) -> Response:
    """Create a failed prototype once more. Two clicks are one retry: the key is made from the failed one's id."""
    keeper = application_of(request).keeper
    failed = await keeper.get(visitor.principal, prototype_id)
    if not failed.prompt:
        return RedirectResponse(f"/new?{urlencode({'like': failed.id})}", 303)
    new_prototype = NewPrototype(
        failed.product_id,
        failed.prompt,
        provider=failed.provider,
        idempotency_key=f"retry-{failed.id}",
        product_is_new=True,
    )
    ensured = await keeper.ensure(visitor.principal, new_prototype, wait=0.0)
    return RedirectResponse(f"/prototypes/{ensured.prototype.id}", 303)


async def _form_page(
    request: Request, visitor: Visitor, form: Form, status: int = 200, asks: Existing | None = None
) -> Response:
    """The form. With `asks` it asks whether one of these was meant."""
    application = application_of(request)
    existing = asks or (await existing_for(request, visitor, form) if form.product_id else Existing())
    return page(
        request,
        "new.html",
        visitor=visitor,
        status=status,
        form=form,
        existing=existing,
        asks=asks is not None,
        limits=LIMITS,
        providers=sorted(PROVIDERS),
        products=await offered_products(application, visitor),
        usual=formatting.usual_text(await application.gallery.usual_duration(visitor.principal.workspace_id)),
        live=None,
    )


async def _reused_page(request: Request, visitor: Visitor, form: Form, ensured: Ensured) -> Response:
    """The existing prototype, under a banner that says so. A reload repeats the same request, which changes nothing."""
    application = application_of(request)
    since = newest_event_id(request, visitor)
    values = await detail_values(application, visitor.principal, ensured.prototype.id)
    values["change"]["key"] = new_key()
    return page(
        request,
        "prototype.html",
        visitor=visitor,
        banner={
            "differs": ensured.decision.prompt_differs,
            "prompt": form.new_prototype.prompt,
            "form": replace(form, another=True, key=new_key()),
        },
        trouble=None,
        live={"on": "prototype", "since": since, "id": ensured.prototype.id},
        **values,
    )

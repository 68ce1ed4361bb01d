# One image for every process of the exchange, Anvil included; the command says which.
# Node comes from the hashed wheel, so both locks pin all there is.
FROM python:3.11-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /exchange
COPY requirements.lock requirements-node.lock pyproject.toml package.json package-lock.json .npmrc LICENSE ./
COPY scripts/setup scripts/
COPY contracts/solc contracts/solc.cjs contracts/
COPY src/exchange/__init__.py src/exchange/
RUN scripts/setup
COPY . .
# All is compiled here, so that no container does it at its start. scripts/compile gives up without failing; an image must not.
RUN scripts/setup && scripts/compile && find src -name "*.so" | grep -q . \
    && .venv/bin/python -c "from exchange.settlement.deploy import project_artifacts; project_artifacts()"

FROM python:3.11-slim
RUN useradd --create-home --uid 1000 exchange && install -d -o exchange /exchange/var
COPY --from=build --chown=exchange /exchange /exchange
WORKDIR /exchange
USER exchange
ENV PATH=/exchange/.venv/bin:$PATH PYTHONUNBUFFERED=1
VOLUME /exchange/var
EXPOSE 8080 8081
ENTRYPOINT ["exchange"]
CMD ["--help"]
